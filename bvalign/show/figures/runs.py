"""Figures that compare runs: scatters on common axes, slopes and differences with intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bvalign.analysis.intervals import Estimate
from bvalign.show.figures.lines import TITLES
from bvalign.show.figures.scatter import Panel, log_limits, plot_panel
from bvalign.show.figures.style import BOUND, CORRECT, FIT, GRID, LINES, OTHER_LINE

PANELS_PER_ROW = NUMBERS_PER_ROW = 3
ALONE = (0, (2, 1.5))
"""Line style of intervals over samples alone."""

PARTS = {
    "samples": "#56B4E9",
    "members of the first": "#E69F00",
    "members of the second": "#CC79A7",
}
"""Parts of the variance of a difference, and their colours (Okabe and Ito's palette)."""

NAME_LENGTH = 34


class RunScatter(NamedTuple):
    """The values of one run that its scatter shows."""

    panel: Panel
    correct: Bool[np.ndarray, " samples"]
    num_members: int
    num_classes: int


class RunSlopes(NamedTuple):
    """The slopes and the offset of one run."""

    slope: Estimate  # of the population
    offset: Estimate
    ols: Estimate  # slope of these members
    flagged: bool  # whether slope and offset are not to be quoted


class PairedDifference(NamedTuple):
    """The difference of a number of two runs, in the unit of the number."""

    difference: Estimate
    apart: bool
    shares: Sequence[float]  # of its variance, in the order of PARTS; none if unknown


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


def slopes(runs: Mapping[str, RunSlopes]) -> Figure:
    """Plots slopes and offset of each run with their 95% intervals, beside slope one and offset 0.

    Args:
        runs: at least one, by name.
    """
    panels = [("slope of log variance on log squared bias", 1, "slope one", ("slope", "ols"))]
    if any(run.offset.value is not None for run in runs.values()):
        panels.append(("offset: mean of log variance - log squared bias", 0, None, ("offset",)))
    figure = Figure(figsize=(2.4 + 4.2 * len(panels), 1.9 + 0.5 * len(runs)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (title, reference, name, fields) in zip(axes, panels, strict=True):
        for height, run in enumerate(runs.values()):
            for place, field in enumerate(fields):
                y = height + 0.24 * (place - (len(fields) - 1) / 2)
                colour = OTHER_LINE if field == "ols" else LINES["logit_slope"]
                open_marker = run.flagged and field != "ols"
                _plot_interval(panel, getattr(run, field), y, colour, open_marker=open_marker)
        panel.axvline(reference, color=BOUND, ls="--", lw=1, label=name)
        _rows(panel, list(runs), f"{title} (bars: 95%)")
    first = axes[0]
    first.plot([], [], "o", color=LINES["logit_slope"], label=TITLES["logit_slope"])
    first.plot([], [], "o", color=OTHER_LINE, label=TITLES["ols"])
    if any(run.flagged for run in runs.values()):
        first.plot([], [], "o", color=FIT, mfc="white", label="flagged: do not quote")
    if any(_alone(number) for run in runs.values() for number in run[:3]):
        first.plot([], [], ls=ALONE, color=FIT, label="over samples alone")
    figure.legend(loc="outside upper center", ncols=5, fontsize=8)
    return figure


def paired_differences(pairs: Mapping[str, Mapping[str, PairedDifference]]) -> Figure:
    """Plots differences of pairs of runs with 95% intervals, and what their variance comes from.

    Args:
        pairs: pair -> number -> its difference; the numbers are the same for all pairs.
    """
    numbers = list(next(iter(pairs.values())))
    bands = math.ceil(len(numbers) / NUMBERS_PER_ROW)
    figure = Figure(figsize=(13, 0.8 + bands * (1.3 + 0.42 * len(pairs))), layout="constrained")
    grid = figure.subplots(
        bands,
        2 * NUMBERS_PER_ROW,
        squeeze=False,
        width_ratios=[5, 2] * NUMBERS_PER_ROW,
        sharey=True,
    )
    cells = grid.reshape(-1, 2)
    for number, (axes, shares) in zip(numbers, cells, strict=False):
        for height, found in enumerate(pair[number] for pair in pairs.values()):
            _plot_interval(axes, found.difference, float(height), CORRECT if found.apart else FIT)
            start = 0.0
            for part, colour in zip(found.shares, PARTS.values(), strict=False):
                shares.barh(height, part, left=start, height=0.5, color=colour)
                start += part
        axes.axvline(0, color=BOUND, ls="--", lw=1)
        _rows(axes, list(pairs), number)
        shares.set_xlim(0, 1)
        shares.set_xticks([0, 1], ["0", "1"])
        shares.set_xlabel("share of variance", fontsize=8)
    for axes in cells[len(numbers) :].ravel():
        axes.remove()
    for part, colour in PARTS.items():
        grid[0, 0].plot([], [], "s", color=colour, label=part)
    grid[0, 0].plot([], [], "o-", color=CORRECT, label="told apart")
    grid[0, 0].plot([], [], "o-", color=FIT, label="not told apart")
    if any(_alone(found.difference) for pair in pairs.values() for found in pair.values()):
        grid[0, 0].plot([], [], ls=ALONE, color=FIT, label="over samples alone")
    figure.legend(loc="outside upper center", ncols=6, fontsize=8)
    return figure


def _plot_interval(
    axes: Axes, number: Estimate, height: float, colour: str, *, open_marker: bool = False
) -> None:
    """Plots a number with its interval, dashed if that is over samples alone."""
    if number.value is None:
        return
    if ends := number.quoted_interval:
        style = ALONE if _alone(number) else "-"
        axes.plot(ends, [height] * 2, "|", color=colour, ms=7)
        axes.plot(ends, [height] * 2, color=colour, ls=style, lw=1.5)
    face = "white" if open_marker else colour
    axes.plot(number.value, height, "o", color=colour, mfc=face)


def _alone(number: Estimate) -> bool:
    return number.interval is None and number.interval_samples is not None


def _rows(axes: Axes, names: Sequence[str], x: str) -> None:
    axes.set_yticks(range(len(names)), [shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(x)
    axes.grid(True, axis="x", **GRID)
    axes.set_axisbelow(True)


def shortened(name: str) -> str:
    """Cuts the middle out of a long name."""
    if len(name) <= NAME_LENGTH:
        return name
    half = (NAME_LENGTH - 1) // 2
    return f"{name[:half]}…{name[-half:]}"
