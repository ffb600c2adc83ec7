"""Figures that compare runs: scatters on common axes, slopes and differences with intervals."""

import math
import re
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bvalign.analysis.intervals import Estimate
from bvalign.show.figures.layout import legend_below, panels
from bvalign.show.figures.lines import TITLES
from bvalign.show.figures.scatter import Panel, log_limits, plot_panel
from bvalign.show.figures.style import BOUND, CORRECT, FIT, GRID, HALO, LINES, OTHER_LINE

PANELS_PER_ROW, WIDE, LEAST_PANEL = 3, 8, 14
"""Panels in a row, one more in figures from WIDE inches; ems of the smallest."""

ALONE = (0, (2, 1.5))
"""Line style of intervals over samples alone."""

PARTS = {
    "samples": "#56B4E9",
    "members of the first": "#E69F00",
    "members of the second": "#CC79A7",
}
"""Parts of the variance of a difference, and their colours (Okabe and Ito's palette)."""

NAME_LENGTH = 24
"""Characters of a line of a name."""


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
    narrow = mpl.rcParams["figure.figsize"][0] < WIDE
    most, aspect = (PANELS_PER_ROW if narrow else PANELS_PER_ROW + 1), 1.15
    if narrow and len(runs) == 4:  # a square, for a row of one would be lost
        most, aspect = 2, 1.02
    options = {"sharex": True, "sharey": True}
    figure, grid = panels(len(runs), aspect, most=most, least=LEAST_PANEL, **options)
    ends = [log_limits(run.panel) for run in runs.values()]
    limits = min(low for low, _ in ends), max(high for _, high in ends)
    for axes, (name, run) in zip(grid, runs.items(), strict=True):
        size = {"num_members": run.num_members, "num_classes": run.num_classes}
        plot_panel(axes, run.panel, run.correct, **size, limits=limits)
        axes.set_title(wrapped(name), fontsize=mpl.rcParams["xtick.labelsize"])
        for handle in axes.get_legend_handles_labels()[0]:  # numbers of one run say nothing here
            handle.set_label(re.sub(r"( \(|: ).*", "", handle.get_label()))
        outer = axes in grid[-axes.get_gridspec().ncols :], axes.get_subplotspec().is_first_col()
        axes.tick_params(labelbottom=outer[0], labelleft=outer[1])
        axes.xaxis.label.set_visible(outer[0])
        axes.yaxis.label.set_visible(outer[1])
    legend_below(figure)
    return figure


def slopes(runs: Mapping[str, RunSlopes]) -> Figure:
    """Plots slopes and offset of each run with their 95% intervals, beside slope one and offset 0.

    Args:
        runs: at least one, by name.
    """
    parts = [("slope of log variance\non log squared bias", 1, "slope one", ("slope", "ols"))]
    if any(run.offset.value is not None for run in runs.values()):
        name = "offset: mean of log variance\nminus log squared bias"
        parts.append((name, 0, None, ("offset",)))
    figure, grid = panels(len(parts), 0.5, least=LEAST_PANEL, sharey=True)
    figure.set_figheight(_height(len(runs)))
    for panel, (label, reference, name, fields) in zip(grid, parts, strict=True):
        for height, run in enumerate(runs.values()):
            for place, field in enumerate(fields):
                y = height + 0.24 * (place - (len(fields) - 1) / 2)
                colour = OTHER_LINE if field == "ols" else LINES["logit_slope"]
                open_marker = run.flagged and field != "ols"
                plot_interval(panel, getattr(run, field), y, colour, open_marker=open_marker)
        panel.axvline(reference, color=BOUND, ls="--", label=name)
        _rows(panel, list(runs), label)
    first = grid[0]
    first.plot([], [], "o", color=LINES["logit_slope"], label=TITLES["logit_slope"])
    first.plot([], [], "o", color=OTHER_LINE, label=TITLES["ols"])
    if any(run.flagged for run in runs.values()):
        first.plot([], [], "o", color=FIT, mfc=HALO, label="flagged: do not quote")
    if any(_alone(number) for run in runs.values() for number in run[:3]):
        first.plot([], [], ls=ALONE, color=FIT, label="over samples alone")
    legend_below(figure)
    return figure


def paired_differences(pairs: Mapping[str, Mapping[str, PairedDifference]]) -> Figure:
    """Plots differences of pairs of runs with 95% intervals, and what their variance comes from.

    Args:
        pairs: pair -> number -> its difference; the numbers are the same for all pairs.
    """
    numbers = list(next(iter(pairs.values())))
    width = mpl.rcParams["figure.figsize"][0]
    columns = min(len(numbers), 2 if width < WIDE else 3)
    bands = math.ceil(len(numbers) / columns)
    figure = Figure(figsize=(width, bands * _height(len(pairs))), layout="constrained")
    options = {"squeeze": False, "width_ratios": [5, 2] * columns, "sharey": True}
    cells = figure.subplots(bands, 2 * columns, **options).reshape(-1, 2)
    for number, (axes, shares) in zip(numbers, cells, strict=False):
        for height, found in enumerate(pair[number] for pair in pairs.values()):
            plot_interval(axes, found.difference, float(height), CORRECT if found.apart else FIT)
            start = 0.0
            for part, colour in zip(found.shares, PARTS.values(), strict=False):
                shares.barh(height, part, left=start, height=0.5, color=colour)
                start += part
        axes.axvline(0, color=BOUND, ls="--")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _rows(axes, list(pairs), number.replace(" (", "\n("))
        shares.set_xlim(0, 1)
        shares.set_xticks([0, 1], ["0", "1"])
        shares.set_xlabel("share of\nvariance")
    for axes in cells[len(numbers) :].ravel():
        axes.remove()
    first = figure.axes[0]
    for part, colour in PARTS.items():
        first.plot([], [], "s", color=colour, label=f"variance from {part}")
    first.plot([], [], "o-", color=CORRECT, label="told apart")
    first.plot([], [], "o-", color=FIT, label="not told apart")
    if any(_alone(found.difference) for pair in pairs.values() for found in pair.values()):
        first.plot([], [], ls=ALONE, color=FIT, label="over samples alone")
    legend_below(figure)
    return figure


def plot_interval(
    axes: Axes, number: Estimate, height: float, colour: str, *, open_marker: bool = False
) -> None:
    """Plots a number with its interval, dashed if that is over samples alone.

    Args:
        axes: with a row at each whole number.
        number: nothing is plotted where it has no value.
        height: of its row.
        colour: of both.
        open_marker: whether the marker is hollow.
    """
    if number.value is None:
        return
    if ends := number.quoted_interval:
        style = ALONE if _alone(number) else "-"
        axes.plot(ends, [height] * 2, "|", color=colour)
        axes.plot(ends, [height] * 2, color=colour, ls=style)
    axes.plot(number.value, height, "o", color=colour, mfc=HALO if open_marker else colour)


def _height(rows: int) -> float:
    """Height in inches of a panel of so many named rows, with its labels."""
    return (2.2 * rows + 5.5) * mpl.rcParams["font.size"] / 72


def _alone(number: Estimate) -> bool:
    return number.interval is None and number.interval_samples is not None


def _rows(axes: Axes, names: Sequence[str], x: str) -> None:
    axes.set_yticks(range(len(names)), [wrapped(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(x)
    axes.grid(True, axis="x", **GRID)
    axes.set_axisbelow(True)


def wrapped(name: str) -> str:
    r"""Breaks a long name into two lines, and cuts the middle out of one that needs more.

    >>> wrapped("width=32, depth=4, arch=resnet")
    'width=32, depth=4,\narch=resnet'
    """
    half = NAME_LENGTH - 1
    if len(name) > 2 * NAME_LENGTH - 2:
        name = f"{name[:half]}…{name[-half:]}"
    return "\n".join(wrap(name, NAME_LENGTH, max_lines=2, placeholder="…"))
