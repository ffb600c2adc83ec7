"""The Markdown tables of all studies: answers with their evidence, claims in words, ensembles.

A claim's measured number has its 95% interval (the smallest and the largest, where there are
several). No number is typed by hand.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import load_file
from verdicts import Number, extremes_text, number_text

MADE_WITH = {
    1: "`cross_half`, `ols` and `slope_one` of schema 1 of `summary.json` (without `logit_slope`; "
    "intervals of other numbers are mostly over samples alone)",
    2: "`logit_slope` of the population, and `ols` (slope, R²) and `ratio` of these members, of "
    "schema 2 of `summary.json`",
}
"""Schema of the results -> estimators behind the slopes."""

SCHEMA = max(MADE_WITH)
"""That of results of today."""

ARGS = ("model.arch_args.", "model.width", "model.depth")
"""Beginnings of the names of a network's options in the identity of a run."""

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
    rows, cost = [], cost_text(results)
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
                verdict_text(judged),
            ]
        )
    return rows


def claims_table(folder: Path) -> str:
    """A row for each claim of each study: its verdicts, and `plain` of study.yaml, in plain words.

    Args:
        folder: experiments; links are those of a folder beside it.
    """
    rows = []
    for file in sorted(folder.glob("studies/*/study.yaml")):
        study, name = yaml.safe_load(file.read_text()), file.parent.name
        results = file.with_name("results-small.json")
        judged = json.loads(results.read_text())["verdicts"] if results.exists() else []
        for claim in dict.fromkeys(claim["claim"] for claim in study.get("claims", [])):
            said = [f"{j['says']}: {verdict_text(j)}" for j in judged if j["claim"] == claim]
            link = f"[{name}](../experiments/studies/{name}/study.yaml)"
            plain = study.get("plain", {}).get(claim, "")
            rows.append([claim, link, "<br>".join(said) or "not measured yet", plain])
    rows.sort(key=lambda row: int(row[0][1:]) if re.fullmatch(r"C\d+", row[0]) else math.inf)
    head = ("claim", "study", "verdicts", "in plain words")
    return "\n".join([_line(head), _line(["---"] * len(head)), *map(_line, rows)])


def ensembles_table(folder: Path) -> str:
    """A row for each ensemble of ensembles.yaml: its members, what they reach and what they cost.

    Accuracies are those of the kept logits. Every kept member was trained until its schedule ended.
    """
    head = ("ensemble", "data", "network", "epochs", "members", "accuracy of a member: mean, range",
            "CPU minutes of a member")  # fmt: skip
    rows = []
    for name, entry in yaml.safe_load((folder / "ensembles.yaml").read_text()).items():
        file = folder / name / "identity.json"
        about = json.loads(file.read_text()) if file.exists() else {"members": {}}
        asked = entry.get("set", {}).get("model.members")
        row = [f"[{name}]({folder.name}/ensembles.yaml)", *[""] * 3, f"0 of {asked}", "", ""]
        if about["members"]:
            row[1:] = _ensemble_row(file.parent, about, asked)
        rows.append(row)
    return "\n".join([_line(head), _line(["---"] * len(head)), *map(_line, rows)])


def _ensemble_row(folder: Path, about: dict[str, dict], asked: int) -> list[str]:
    identity, members = about["identity"], about["members"]
    labels = np.load(folder / "labels.npy")
    right = [
        float((load_file(folder / f"{m}.safetensors")["logits"].argmax(-1) == labels).mean())
        for m in members
    ]
    args = {key.rpartition(".")[2]: v for key, v in identity.items() if key.startswith(ARGS)}
    network = " ".join([identity["model.arch"], *(f"{key} {value}" for key, value in args.items())])
    seconds = [cost["cpu_seconds"] for cost in about.get("costs", [])]
    spread = f", {min(right):.2%} to {max(right):.2%}" if len(right) > 1 else ""
    return [
        identity["data.name"],
        network,
        str(identity["trainer.max_epochs"]),
        f"{len(members)} of {asked}",
        f"{np.mean(right):.2%}{spread}",
        f"{sum(seconds) / 60 / len(members):.2g}" if seconds else "not recorded",
    ]


def verdict_text(judged: dict[str, object]) -> str:
    """A verdict with the counts behind it."""
    yes, no, every = judged["yes"], judged["no"], len(judged["evidence"])
    return f"**{judged['verdict']}** ({yes} yes, {no} no of {every})"


def runs_table(rows: Mapping[str, Sequence[Number]], headings: Sequence[str]) -> str:
    """A row of numbers for each run; those not to be quoted are in italics, the reasons last."""
    flags = {
        run: dict.fromkeys(flag for number in numbers for flag in number.get("flags") or ())
        for run, numbers in rows.items()
    }
    reasons = {run: [", ".join(named)] for run, named in flags.items() if any(flags.values())}
    head = ["", *headings, *(["do not quote"] if reasons else [])]
    lines = [
        [run, *map(_unflagged, numbers), *reasons.get(run, [])] for run, numbers in rows.items()
    ]
    return "\n".join([_line(head), _line(["---"] * len(head)), *map(_line, lines)])


def _unflagged(number: Number) -> str:
    """A cell whose flags stand elsewhere in the row."""
    text = cell(number | {"flags": []}).replace(" over samples alone", " (samples)")
    return f"*{text}*" if number.get("flags") else text


def cell(number: Number) -> str:
    """A number with its interval and unit, or a plain value such as a count.

    >>> cell({"value": 1200}), cell({"value": 2.0491}), cell({"value": None})
    ('1,200', '2.05', '')
    >>> cell({"value": 95.1, "interval": [94.0, 96.2], "unit": "%"})
    '95.1% [94.0, 96.2]'
    """
    value, unit = number["value"], number.get("unit", "")
    if "interval" in number:
        return number_text(number)
    if not isinstance(value, float):
        return "" if value is None else f"{value:,}{unit}" if isinstance(value, int) else value
    return f"{value:,.0f}{unit}" if abs(value) >= 100 else f"{value:.3g}{unit}"


def cost_text(results: dict[str, object]) -> str:
    """Minutes of training and measuring, and the processor."""
    seconds = results["seconds_training"] + results["seconds_measuring"]
    return f"{seconds / 60:.0f} min, {results['hardware']['cpu']}"


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
