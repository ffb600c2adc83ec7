"""Measures every decision against its baselines on real data; writes results/ and results.md.

python experiments/decisions/run.py [members systematic without_labels ...] [--quick]

Data sets come from `--data` (BVALIGN_DATA): ensembles that others trained in `ensembles/`, and
images. Each question takes one to ten minutes on two cores; its numbers are in
results/QUESTION.json, and results.md is written anew from all of them. wrong_labels compares with
cleanlab (`pip install 'bvalign[labels]'`) and leaves out CIFAR-10N where its images are not there.
"""

import argparse
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path

from decision_goals import lines
from trained import train_missing

from bvalign.provenance import versions

HERE = Path(__file__).parent
QUESTIONS = {
    "members": "How many members?",
    "systematic": "Systematic or chance?",
    "without_labels": "Risk without labels",
    "wrong_labels": "Which labels are wrong?",
    "abstain": "When to abstain?",
    "calibrate": "Calibrate the ensemble",
    "answers": "Members that are repeated answers",
}
"""Key -> title; `measure_KEY.py` measures it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions", nargs="*", choices=[[], *QUESTIONS], help="all by default")
    parser.add_argument("--data", type=Path, default=os.environ.get("BVALIGN_DATA", "data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/decisions"))
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--quick", action="store_true", help="few draws: does it run?")
    options = parser.parse_args()
    train_missing(options.runs.absolute(), options.data.absolute())
    stored = options.out / "results"
    stored.mkdir(parents=True, exist_ok=True)
    for key in options.questions or QUESTIONS:
        start = time.perf_counter()
        found = import_module(f"measure_{key}").measure(
            options.data, options.runs, quick=options.quick
        )
        seconds = round(time.perf_counter() - start)
        made = {"seconds": seconds, "quick": options.quick, "versions": versions()}
        (stored / f"{key}.json").write_text(json.dumps({"made": made, **found}, indent=1) + "\n")
        print(f"{key}: {seconds} s")
    (options.out / "results.md").write_text(results(stored))


def results(stored: Path) -> str:
    """The goals of all questions in one table, then the tables of each."""
    goals = ["| question | goal | measured | |", "| --- | --- | --- | --- |"]
    sections = []
    for key, title in QUESTIONS.items():
        path, module = stored / f"{key}.json", import_module(f"measure_{key}")
        if path.exists():
            found = json.loads(path.read_text())
            goals += lines(title, module.goals(found))
            sections += [f"## {title}", "", module.table(found).strip(), ""]
    command = "Made by `python experiments/decisions/run.py`."
    return "\n".join(["# Decisions, measured", "", command, "", *goals, "", *sections])


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
