"""Writes docs/findings.md from experiments/findings.md, and the table of experiments/README.md.

    python experiments/lab/findings.py            # after `run.py` and `paper_figures.py`
    python experiments/lab/findings.py --check    # fails if either does not match the results

Numbers come from committed JSON by placeholders, see placeholders.py. Commands among them:

    {{verdict STUDY/CLAIM/NUMBER}}   the verdict on a claim with its counts; where several claims of
                                     the study have the number: the beginning of what it says
    {{measured STUDY/CLAIM/NUMBER}}  the numbers behind it
    {{cost STUDY}}                   minutes and processor
    {{question STUDY}}               what it asks
    {{table answers}}                every claim of every study with its numbers
    {{table ensembles}}              the kept ensembles: accuracy and cost of their members
    {{table claims}}                 every claim in plain words: `plain` of study.yaml
    {{table runs STUDY/RUNS; NUMBER: HEADING; ...}}  a row for each run; filters after NUMBER
    {{figure NAME: ALT}}             experiments/figures/NAME.png with its caption
    {{bibtex}}                       of CITATION.cff
"""

import argparse
import re
import sys
from pathlib import Path

import bibtex
import claim_tables
import yaml
from placeholders import NOT_YET, Results, filled, values_of

ROOT = Path(__file__).resolve().parents[2]
MADE = "<!-- made by experiments/lab/findings.py from experiments/findings.md: edit that -->\n\n"
BLOCK = re.compile(r"(<!-- (\{\{.+?\}\}) by findings\.py -->\n).*?(<!-- end -->)", re.DOTALL)
"""Placeholder in a comment, what it is filled with, and the end of that."""

NAMES = re.compile(
    r"\b(C\d+|CIFAR-100?[NH]?|ResNet-\d+|ICLR \d{4}|ImageNet-21k|95%)(?!\w)"
    r"|\b(?:squared|bias)²"
)
"""Digits of names and conventions, which are not measured."""


def written(root: Path) -> tuple[dict[Path, str], set[str]]:
    """The generated files with their content, and the studies that lacked something.

    Raises:
        ValueError: a placeholder names nothing.
    """
    results = Results(root)
    template, readme = (root / "experiments" / name for name in ("findings.md", "README.md"))
    plain = [
        (file, " ".join(yaml.safe_load(file.read_text()).get("plain", {}).values()))
        for file in sorted((root / "experiments/studies").glob("*/study.yaml"))
    ]
    for file, text in [(template, template.read_text()), *plain]:
        if typed := typed_numbers(text):
            raise ValueError(f"{file}: typed numbers, write placeholders: {'; '.join(typed)}")

    def block(found: re.Match[str]) -> str:
        text = filled(found[2], results, COMMANDS)
        return f"{found[1]}\n{text}\n\n{found[3]}"

    page = MADE + filled(template.read_text(), results, COMMANDS)
    return {
        root / "docs/findings.md": page,
        readme: BLOCK.sub(block, readme.read_text()),
    }, results.not_yet


def typed_numbers(text: str) -> list[str]:
    """The lines of a template that hold digits which come from no JSON.

    Placeholders, code, comments, targets of links and NAMES may have digits.
    """
    without = text
    for allowed in (r"^```.*?^```$", r"\{\{.+?\}\}", r"<!--.*?-->"):
        without = re.sub(allowed, "", without, flags=re.DOTALL | re.MULTILINE)
    for allowed in (r"`[^`\n]*`", r"\]\([^)]*\)", NAMES.pattern):
        without = re.sub(allowed, "", without)
    return [line.strip() for line in without.splitlines() if re.search(r"\d", line)]


def _claim(argument: str, results: Results) -> dict[str, object]:
    study, _, rest = argument.partition("/")
    claim, _, part = rest.partition("/")
    of_study = results.study(study)["verdicts"]
    found = [
        judged
        for judged in of_study
        if judged["claim"] == claim
        and (judged["number"] == part or judged["says"].startswith(part))
    ]
    if len(found) == 1:
        return found[0]
    if not found and (lacking := results.lacks(study)):
        raise lacking
    raise ValueError(f"{len(found)} claims {claim} of {study} fit, not one")


def _measured(argument: str, results: Results) -> str:
    evidence = _claim(argument, results)["evidence"]
    return claim_tables.extremes_text(evidence) if evidence else NOT_YET


def _table(argument: str, results: Results) -> str:
    kind, _, rest = argument.partition(" ")
    if kind == "answers":
        return claim_tables.answers_table(results.root / "experiments")
    if kind == "ensembles":
        return claim_tables.ensembles_table(results.root / "experiments/ensembles")
    if kind == "claims":
        return filled(claim_tables.claims_table(results.root / "experiments"), results, COMMANDS)
    if kind != "runs":
        raise ValueError("there are the tables answers, claims, ensembles and runs")
    runs, *columns = (part.strip() for part in rest.split(";"))
    pairs = [column.partition(":") for column in columns]
    rows: dict[str, list[claim_tables.Number]] = {}
    for place, (number, _, _) in enumerate(pairs):
        for found in values_of(f"{runs}/{number.strip()}", results):
            row = rows.setdefault(found["name"], [{"value": None}] * len(pairs))
            row[place] = found
    return claim_tables.runs_table(rows, [heading.strip() for _, _, heading in pairs])


def _figure(argument: str, results: Results) -> str:
    name, _, alt = argument.partition(":")
    folder = results.root / "experiments/figures"
    if not (folder / f"{name}.txt").exists():
        return f"*(Figure {name}: {NOT_YET}.)*"
    link = f"../experiments/figures/{name}"
    caption = (folder / f"{name}.txt").read_text().strip()
    files = f"([PDF]({link}.pdf), [numbers]({link}.csv))"
    return f"![{alt.strip()}]({link}.png)\n\n*{caption}* {files}"


COMMANDS = {
    "verdict": lambda argument, results: claim_tables.verdict_text(_claim(argument, results)),
    "measured": _measured,
    "cost": lambda argument, results: claim_tables.cost_text(results.study(argument)),
    "question": lambda argument, results: results.study(argument)["question"],
    "table": _table,
    "figure": _figure,
    "bibtex": lambda _, results: bibtex.entries(results.root / "CITATION.cff"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="of the repository")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a file is out of date"
    )
    args = parser.parse_args()
    try:
        files, not_yet = written(args.root)
    except ValueError as error:
        sys.exit(f"error: {error}")
    if not_yet:
        print(f"{NOT_YET}: {', '.join(sorted(not_yet))}")
    old = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    if args.check and old:
        names = ", ".join(str(path.relative_to(args.root)) for path in old)
        sys.exit(f"error: out of date: {names}; run: python experiments/lab/findings.py")
    for path in old:
        path.write_text(files[path])


if __name__ == "__main__":
    main()
