"""Figures of a question, in the colours of the package; a study lists them under `figures`.

scatter: run, ...        the alignment scatter of each run, as in its report
numbers: name, ...       one panel per number, one row per run with its 95% interval
curves: pattern, ...     one panel per pattern, all curves of the extras that match it
"""

from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measures import read_samples
from verdicts import Number

from bvalign.show.fits import summary_lines
from bvalign.show.scatter import BOUND, CORRECT, WRONG, Panel, alignment_scatter

COLOURS = (CORRECT, WRONG, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^vDPX"


def scatter(run: Path, summary: dict) -> Figure:
    """The plug-in scatter of one run with its fitted lines."""
    samples = read_samples(run)
    lines = summary_lines(summary, ("cross_half", "ols"))
    return alignment_scatter(
        [Panel("plug-in", samples["bias_sq"], samples["variance"], lines)],
        samples["correct"] == 1,
        num_members=summary["num_members"],
        num_classes=summary["num_classes"],
    )


def numbers(names: list[str], runs: dict[str, dict[str, Number]], claims: list[dict]) -> Figure:
    """Each number of each run with its interval; what confirms a claim is shaded."""
    rows = max(sum(name in numbers for numbers in runs.values()) for name in names)
    figure = Figure(figsize=(4.6 * len(names), 1.6 + 0.28 * max(rows, 2)), layout="constrained")
    for name, axes in zip(names, figure.subplots(1, len(names), squeeze=False)[0], strict=True):
        known = {run: numbers[name] for run, numbers in runs.items() if name in numbers}
        for row, number in enumerate(known.values()):
            if number["interval"]:
                axes.plot(number["interval"], [row, row], color=CORRECT, lw=2)
            axes.plot(number["value"], row, "o", color=CORRECT, ms=5)
        limits = axes.get_xlim()
        of_runs = [c["within"] for c in claims if c["number"] == name and "compare" not in c]
        for within in {tuple(ends) for ends in of_runs}:
            axes.axvspan(*np.clip(within, *limits), color=BOUND, alpha=0.2, lw=0)
        axes.set_yticks(range(len(known)), list(known), fontsize=8)
        axes.invert_yaxis()
        axes.set_xlabel(f"{name} (95% interval; grey: confirms)", fontsize=9)
        axes.grid(True, axis="x", color="#E6E6E6", linewidth=0.6)
    return figure


def curves(patterns: dict[str, str], found: dict[str, list[dict[str, float]]]) -> Figure:
    """The curves of the extras, logarithmic where they span more than a decade."""
    figure = Figure(figsize=(5.6 * len(patterns), 4.2), layout="constrained")
    panels = figure.subplots(1, len(patterns), squeeze=False)[0]
    for (pattern, label), axes in zip(patterns.items(), panels, strict=True):
        matching = {name: points for name, points in found.items() if fnmatch(name, pattern)}
        for number, (name, points) in enumerate(matching.items()):
            _curve(axes, name, points, number)
        axes.set_xlabel(label)
        axes.set_title(f"{pattern.strip('*: ')} (bars: one standard deviation)", fontsize=10)
        axes.grid(True, color="#E6E6E6", linewidth=0.6)
        if matching:
            axes.legend(fontsize=7)
    return figure


def _curve(axes: Axes, name: str, points: list[dict[str, float]], number: int) -> None:
    x, y, error = ([p.get(key) or 0.0 for p in points] for key in ("x", "y", "error"))
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    style = {"color": colour, "marker": marker, "ls": "-" if number < len(COLOURS) else "--"}
    axes.errorbar(x, y, yerr=error, ms=4, lw=1.4, label=name, **style)
    if min(x) > 0 and max(x) > 10 * min(x):
        axes.set_xscale("log")
    if min(y) > 0 and max(y) > 10 * min(y):
        axes.set_yscale("log")
