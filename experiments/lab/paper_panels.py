"""The drawing of the figures for papers, in the colours and with the panels of the package."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from paper_results import Line
from plots import COLOURS, MARKERS
from verdicts import Number

from bvalign.analysis.intervals import Estimate
from bvalign.show.figures.layout import finish, legend_below, lettered, panels
from bvalign.show.figures.lines import TITLES
from bvalign.show.figures.runs import RunSlopes, plot_interval, slopes
from bvalign.show.figures.style import (
    AREA,
    BOUND,
    CORRECT,
    FIT,
    GRID,
    HALO,
    LINES,
    OTHER_LINE,
)

MECHANISM = {
    "base": "margins,\none noise",
    "growth": "+ growth\nof noise",
    "temperature": "+ members'\nscales",
    "rest": "+ rest",
    "finite": "+ finite M",
}
"""Part of the slope -> its heading; their sum is the slope of these members."""

ROW, NOTHING = 1.5, Estimate(None)
"""Height of a row in ems, and a number that is not there."""


def families(by_family: Mapping[str, Mapping[str, RunSlopes]]) -> Figure:
    """Slopes and offsets of ensembles, a bold heading above those of each family.

    Args:
        by_family: family -> ensemble -> its numbers.
    """
    empty = RunSlopes(NOTHING, NOTHING, NOTHING, flagged=False)
    rows = {}
    for family, runs in by_family.items():
        rows |= {family: empty} | dict(runs)
    before = _rows_height(len(rows), 2.2, 5.5)
    figure = slopes(rows)
    figure.set_figheight(figure.get_figheight() - before + _rows_height(len(rows), ROW, 5.5))
    for label in figure.axes[0].get_yticklabels():
        if label.get_text() in by_family:
            label.set_fontweight("bold")
    return figure


def budgets(rows: Mapping[str, Sequence[tuple[Estimate, bool]]]) -> Figure:
    """A panel for each part of the slope and one for their sum, a row for each ensemble.

    Args:
        rows: ensemble -> its parts and their sum, and whether each must not be quoted.
    """
    headings = [*MECHANISM.values(), "= slope"]
    width, height = mpl.rcParams["figure.figsize"][0], _rows_height(len(rows), ROW, 6)
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(1, len(headings), sharey=True)
    added = [estimate for row in rows.values() for estimate, _ in row[1:-1]]
    ends = [end for e in added for end in (e.value, *(e.quoted_interval or ())) if end is not None]
    room = 0.1 * (max(ends) - min(ends))
    for place, (axes, heading) in enumerate(zip(grid, headings, strict=True)):
        whole = place in (0, len(headings) - 1)
        axes.axvline(float(whole), color=BOUND, ls="--", label="slope one, or nothing added")
        if not whole:
            axes.set_xlim(min(ends) - room, max(ends) + room)
        for height, row in enumerate(rows.values()):
            number, flagged = row[place]
            plot_interval(
                axes, number, float(height), FIT if whole else CORRECT, open_marker=flagged
            )
        axes.set_xlabel(heading)
        axes.grid(True, axis="x", **GRID)
        axes.set_axisbelow(True)
        axes.margins(x=0.15)
        axes.xaxis.set_major_locator(MaxNLocator(2, min_n_ticks=2))
    grid[0].set_yticks(range(len(rows)), rows)
    grid[0].set_ylim(len(rows) - 0.5, -0.5)
    if any(flagged for row in rows.values() for _, flagged in row):
        grid[0].plot([], [], "o", color=FIT, mfc=HALO, label="flagged: do not quote")
    legend_below(figure)
    return figure


def shared_and_finite(
    shared: Mapping[str, Line], finite: Mapping[str, Mapping[str, Line]], bert: Number
) -> Figure:
    """Offsets over the shared fraction of training beside slopes over the number of members.

    Args:
        shared: name -> offsets over fractions.
        finite: name -> estimator -> slopes over numbers of members.
        bert: offset of fine-tuned networks, a horizontal line in the first panel.
    """
    figure, (left, right) = panels(2, 0.85)
    for place, (name, points) in enumerate(shared.items()):
        _curve(left, name, points, COLOURS[place % len(COLOURS)], place)
    for place, (name, lines) in enumerate(finite.items()):
        for estimator, points in lines.items():
            label = f"{name}: {TITLES[estimator]}"
            _curve(right, label, points, LINES.get(estimator, OTHER_LINE), place)
    left.axhspan(*(bert.get("interval") or [bert["value"]] * 2), color=AREA, alpha=0.4, lw=0)
    left.axhline(bert["value"], color=AREA, label="ten fine-tuned BERTs")
    left.axhline(0, color=BOUND, ls="--", label="variance = squared bias")
    right.axhline(1, color=BOUND, ls=":", label="slope one")
    right.set_xscale("log", base=2)
    right.xaxis.set_major_formatter("{x:g}")
    finish(left, "fraction of the epochs that members share", "offset: mean of log variance\n"
           "minus log squared bias")  # fmt: skip
    finish(right, "members M", "slope of log variance\non log squared bias")
    lettered([left, right])
    legend_below(figure)
    return figure


def _curve(axes: Axes, name: str, points: Line, colour: str, place: int) -> None:
    """One curve with bars; the points that must not be quoted are hollow."""
    marker = MARKERS[place % len(MARKERS)]
    x, y = zip(*((at, number["value"]) for at, number in points), strict=True)
    axes.plot(x, y, color=colour, marker=marker, ls="--" if place % 2 else "-", label=name)
    for at, found in points:
        if ends := found.get("interval"):
            axes.vlines(at, *ends, color=colour)
        if found.get("flags"):
            axes.plot(at, found["value"], marker, color=colour, mfc=HALO)


def _rows_height(rows: int, each: float, more: float) -> float:
    """Inches of so many rows with what stands around them, all in ems."""
    return (each * rows + more) * mpl.rcParams["font.size"] / 72
