"""Fills the table of answers in experiments/README.md from the results of all studies.

    python experiments/lab/answers.py            # after `run.py`
    python experiments/lab/answers.py --check    # fails if the table does not match the results

Each row is a claim: the measured number with its 95% interval (the smallest and the largest, where
there are several), the data, the number of members, the cost and the verdict. No number is typed by
hand.
"""

import argparse
import json
import sys
from pathlib import Path

from verdicts import extremes_text

EXPERIMENTS = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- answers: made by answers.py, do not edit -->", "<!-- end of answers -->"
MADE_WITH = {
    1: "`cross_half`, `ols` and `slope_one` of schema 1 of `summary.json` (without `logit_slope`; "
    "intervals of other numbers are mostly over samples alone)",
    2: "`logit_slope` of the population, and `ols` (slope, R²) and `ratio` of these members, of "
    "schema 2 of `summary.json`",
}
"""Schema of the results -> estimators behind the slopes."""

COLUMNS = ("question", "claim", "measured (95% interval)", "data", "members", "cost", "verdict")


def answers_table(folder: Path) -> str:
    """All `studies/<question>/results-<size>.json` below a folder as one Markdown table."""
    files = sorted(folder.glob("studies/*/results-*.json"))
    studies = [json.loads(file.read_text()) | {"folder": file.parent.name} for file in files]
    rows = [row for results in studies for row in rows_of(results)]
    lines = [*_made_with(studies), ""] if studies else []
    lines += [_line(COLUMNS), _line(["---"] * len(COLUMNS)), *map(_line, rows)]
    missing = [line for results in studies for line in _missing(results)]
    folders = sorted(file.parent for file in folder.glob("studies/*/study.yaml"))
    not_run = [study.name for study in folders if not (study / "results-paper.json").exists()]
    if not_run:
        missing.append(f"- at the paper's size: {', '.join(not_run)}: not run")
    return "\n".join([*lines, "", *missing]).strip()


def rows_of(results: dict) -> list[list[str]]:
    """One row for each claim of a study at one size."""
    folder, size = results["folder"], results["size"]
    seconds = results["seconds_training"] + results["seconds_measuring"]
    cost = f"{seconds / 60:.0f} min, {results['hardware']['cpu']}"
    rows = []
    for judged in results["verdicts"]:
        names = {
            name
            for evidence in judged["evidence"]
            for pair in evidence["name"].split(" - ")
            for name in pair.split(" and ")
        }
        runs = [run for name, run in results["runs"].items() if name in names]
        measured = [run for run in runs if "num_members" in run]
        rows.append(
            [
                f"[{folder}](studies/{folder}/results-{size}.json) ({size})",
                f"{judged['claim']}: {judged['says']}",
                _measured(judged),
                ", ".join(dict.fromkeys(run["data"] for run in measured)),
                _range([run["num_members"] for run in measured]),
                cost,
                f"**{judged['verdict']}** ({judged['yes']} yes, {judged['no']} no of "
                f"{len(judged['evidence'])})",
            ]
        )
    return rows


def filled(readme: str, content: str) -> str:
    """The text of README.md with its table of answers replaced.

    Raises:
        ValueError: README.md does not hold each marker once, in order.
    """
    if (
        readme.count(BEGIN) != 1
        or readme.count(END) != 1
        or readme.index(BEGIN) > readme.index(END)
    ):
        raise ValueError(f"README.md must hold '{BEGIN}' and then '{END}', once each")
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n\n{content}\n\n{END}{rest.split(END)[1]}"


def _measured(judged: dict) -> str:
    shown = [judged, judged["beside"]] if "beside" in judged else [judged]
    texts = [f"{j['number']}: {extremes_text(j['evidence'])}" for j in shown if j["evidence"]]
    return "; ".join(texts) or "nothing yet"


def _made_with(studies: list[dict]) -> list[str]:
    """One line for each schema of the results: the estimators that they were made with."""
    named: dict[int, list[str]] = {}
    for results in studies:
        named.setdefault(results["schema"], []).append(f"{results['folder']} ({results['size']})")
    return [
        f"Made with {MADE_WITH[schema]}: {', '.join(names)}."
        for schema, names in sorted(named.items())
    ]


def _missing(results: dict) -> list[str]:
    """Lines that name the runs without results or without a number, and the reason; and flags."""
    reasons: dict[str, list[str]] = {}
    for name, run in results["runs"].items():
        if "missing" in run:
            reasons.setdefault(run["missing"].splitlines()[0], []).append(name)
    where = f"{results['folder']} ({results['size']})"
    for judged in results["verdicts"]:
        for why, runs in judged.get("undefined", {}).items():
            reasons.setdefault(f"{judged['number']}: {why}", []).extend(runs)
    lines = [
        f"- {where}: without {', '.join(dict.fromkeys(runs))}: {why}"
        for why, runs in reasons.items()
    ]
    return lines + [f"- {where}: {f}: {why}" for f, why in results.get("flags", {}).items()]


def _range(values: list[int]) -> str:
    ends = sorted({min(values), max(values)}) if values else []
    return " to ".join(map(str, ends))


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--folder", type=Path, default=EXPERIMENTS, help="with README.md and studies"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if the table is out of date"
    )
    args = parser.parse_args()
    readme = args.folder / "README.md"
    try:
        content = filled(readme.read_text(), answers_table(args.folder))
    except ValueError as error:
        sys.exit(f"error: {error}")
    if args.check and content != readme.read_text():
        command = "python experiments/lab/answers.py"
        sys.exit(f"error: the table does not match the results; run: {command}")
    readme.write_text(content)


if __name__ == "__main__":
    main()
