"""Runs tests and records with which versions: makes versions.json and the table of versions.md.

python docs/versions.py NAME [options of pytest]    runs and records; NAME is a nox session
python docs/versions.py                             writes the table from versions.json
"""

import json
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bvalign.provenance import provenance

HERE = Path(__file__).parent
STORED, PAGE = HERE / "versions.json", HERE / "versions.md"
BEGIN, END = "<!-- table: docs/versions.py -->\n", "<!-- end of table -->"
SHOWN = ("torch", "lightning", "torchmetrics", "numpy", "scipy", "scikit-learn", "pyarrow")


class Outcomes:
    """Plugin of pytest that counts what passed, failed and was skipped."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("passed", "failed", "skipped"), 0)
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.counts[report.outcome] += 1
        if report.failed:
            self.failed.append(report.nodeid)


def main() -> int:
    """Records a run where one is asked for, and writes the table."""
    code, row = run(*sys.argv[1:]) if len(sys.argv) > 1 else (0, None)
    rows = json.loads(STORED.read_text()) if STORED.exists() else []
    if row:
        name = row["session"]
        kept = [old for old in rows if (old["session"], old["tests"]) != (name, row["tests"])]
        rows = sorted([*kept, row], key=lambda row: (row["session"], row["tests"]))
        STORED.write_text(json.dumps(rows, indent=1) + "\n")
    before, _, after = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table(rows) + END + after.partition(END)[2])
    return code


def run(name: str, *options: str) -> tuple[int, dict]:
    """Runs pytest, and describes the environment."""
    outcomes = Outcomes()
    code = int(pytest.main([*options], plugins=[outcomes]))
    packages = {Requirement(line).name for line in requires("bvalign") if "extra ==" not in line}
    return code, {
        "session": name,
        "tests": " ".join(word for word in options if word.startswith("tests")) or "all",
        "slow": "not slow" not in options,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": provenance()["commit"],
        "python": platform.python_version(),
        "versions": {package: version(package) for package in sorted(packages)},
        **outcomes.counts,
        "names": outcomes.failed,
    }


def table(rows: list[dict]) -> str:
    """A line for each run."""
    lines = [
        f"| session | Python | {', '.join(SHOWN)} | tests | passed | failed | skipped | date |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        versions = ", ".join(row["versions"][name] for name in SHOWN)
        counts = " | ".join(str(row[name]) for name in ("passed", "failed", "skipped"))
        tests = row["tests"].replace("tests/", "") + ("" if row["slow"] else ", fast")
        lines.append(
            f"| `{row['session']}` | {row['python']} | {versions} | {tests} | {counts} "
            f"| {row['date']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
