"""Figures that compare runs: scatters on common axes, slopes with intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from matplotlib.figure import Figure

from bvalign.show.figures.lines import Line
from bvalign.show.figures.scatter import Panel, log_limits, plot_panel
from bvalign.show.figures.style import GRID, LINES, OTHER_LINE

PANELS_PER_ROW = 3
NAME_LENGTH = 34


class RunScatter(NamedTuple):
    """The values of one run that its scatter shows."""

    panel: Panel
    correct: Bool[np.ndarray, " samples"]
    num_members: int
    num_classes: int


def alignment_multiples(runs: Mapping[str, RunScatter]) -> Figure:
    """Plots one scatter per run, all on the same axes.

    Args:
        runs: at least one, by name.
    """
    width = min(PANELS_PER_ROW, len(runs))
    height = math.ceil(len(runs) / width)
    figure = Figure(figsize=(5.2 * width, 5.4 * height), layout="constrained")
    grid = figure.subplots(height, width, squeeze=False).ravel()
    ends = [log_limits(run.panel) for run in runs.values()]
    limits = min(low for low, _ in ends), max(high for _, high in ends)
    for axes, (name, run) in zip(grid, runs.items(), strict=False):
        size = {"num_members": run.num_members, "num_classes": run.num_classes}
        title = f"{shortened(name)}\n"
        plot_panel(axes, run.panel, run.correct, **size, title=title, limits=limits)
    for axes in grid[len(runs) :]:
        axes.remove()
    return figure


def slopes(lines: Mapping[str, Sequence[Line]]) -> Figure:
    """Plots the slopes of each run with their 95% intervals beside slope one.

    Args:
        lines: run -> its fitted lines; each estimator has one colour.
    """
    figure = Figure(figsize=(7.2, 1.6 + 0.5 * len(lines)), layout="constrained")
    axes = figure.add_subplot()
    estimators = list(dict.fromkeys(line.name for fitted in lines.values() for line in fitted))
    for height, fitted in enumerate(lines.values()):
        for line in fitted:
            low, high = line.interval or (line.slope, line.slope)
            axes.errorbar(
                line.slope,
                height + 0.24 * (estimators.index(line.name) - (len(estimators) - 1) / 2),
                xerr=[[max(line.slope - low, 0)], [max(high - line.slope, 0)]],
                fmt="o",
                color=LINES.get(line.name, OTHER_LINE),
                capsize=3,
            )
    for name in estimators:
        axes.plot([], [], "o", color=LINES.get(name, OTHER_LINE), label=name)
    axes.axvline(1, color="#7F7F7F", ls="--", lw=1, label="slope one")
    axes.set_yticks(range(len(lines)), [shortened(name) for name in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel("slope of log variance on log squared bias (bars: 95%)")
    axes.grid(True, axis="x", **GRID)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=len(estimators) + 1, fontsize=8)
    return figure


def shortened(name: str) -> str:
    """Cuts the middle out of a long name."""
    if len(name) <= NAME_LENGTH:
        return name
    half = (NAME_LENGTH - 1) // 2
    return f"{name[:half]}…{name[-half:]}"
