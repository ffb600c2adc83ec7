"""What the figures for papers show, read from the committed results of studies."""

import json
from pathlib import Path

from verdicts import Number, Numbers

Line = list[tuple[float, Number]]
"""Points of a curve: a place and a number with its interval."""

BERT = "others-mnli-bert"
"""Run of `shared_start` whose offset is drawn beside those of members that share a start."""

FINITE = ("digits-members", "fashion-members")
"""Runs of `sensitivity` whose slopes are drawn over the number of members."""


def numbers_with(folder: Path, study: str, needed: str) -> dict[str, Numbers]:
    """The numbers of the runs of a study that have one of them; none without results.

    Args:
        folder: experiments.
        study: its folder.
        needed: the number.
    """
    rows = _results(folder, study)["numbers"]
    return {name: row for name, row in rows.items() if row.get(needed, {}).get("value") is not None}


def shared_lines(folder: Path) -> dict[str, Line]:
    """Offsets of the runs <line>-<shared epochs> over their shared fraction of the epochs."""
    runs = _results(folder, "shared_start")["runs"]
    lines: dict[str, Line] = {}
    for name, numbers in numbers_with(folder, "shared_start", "offset.logit_slope").items():
        line, _, epochs = name.rpartition("-")
        if epochs.isdigit():
            place = int(epochs) / runs[name]["identity"]["trainer.max_epochs"]
            lines.setdefault(line, []).append((place, numbers["offset.logit_slope"]))
    return {name: sorted(points, key=lambda point: point[0]) for name, points in lines.items()}


def finite_lines(folder: Path) -> dict[str, dict[str, Line]]:
    """Slopes over the number of members by run of FINITE and estimator.

    Runs without that of the population are left out.
    """
    lines, curves = {}, _results(folder, "sensitivity")["curves"]
    for run in FINITE:
        found = {
            estimator: [_around(point, flags) for point in curves[f"{run}: {name} slope"]]
            for estimator, name, flags in (
                ("logit_slope", "logit_slope", []),
                ("logit_slope", "logit_slope (do not quote)", ["flagged"]),
                ("ols", "ols", []),
            )
            if f"{run}: {name} slope" in curves
        }
        if "logit_slope" in found:
            lines[run] = found
    return lines


def _results(folder: Path, study: str) -> dict[str, object]:
    """The results of a study; without runs, numbers and curves where there are none."""
    file = folder / "studies" / study / "results-small.json"
    empty = {"runs": {}, "numbers": {}, "curves": {}}
    return json.loads(file.read_text()) if file.exists() else empty


def _around(point: dict[str, float], flags: list[str]) -> tuple[float, Number]:
    """A point of a curve, one deviation around its value."""
    value, half = point["y"], point["error"]
    ends = [value - half, value + half] if half else None
    return point["x"], {"value": value, "interval": ends, "flags": flags}
