"""Small figures of the cards of decisions."""

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bvalign.decisions import Chart, Curve
from bvalign.show.figures.layout import finish, legend_below, panels
from bvalign.show.figures.style import BOUND, CORRECT, OTHER_LINE, WRONG, whole_decades

COLOURS = (CORRECT, WRONG, OTHER_LINE, "#CC79A7", "#E69F00", "#56B4E9")
STYLES = {"line": "-", "dashed": "--", "points": "none"}
ASPECT, ROW = 0.62, 2.1
"""Height of a chart over its width, and of each name on its axis in ems."""


def chart(data: Chart) -> Figure:
    """Plots the curves with their intervals.

    Args:
        data: of one card.
    """
    figure, (axes,) = panels(1, ASPECT)
    rows = (len(data.ticks) + 3) * ROW * mpl.rcParams["font.size"] / 72
    figure.set_figheight(max(figure.get_figheight(), rows))
    for curve, colour in zip(data.curves, _colours(data.curves), strict=True):
        _plot(axes, curve, colour, named=bool(data.ticks))
    if data.ticks:
        axes.set_yticks(range(len(data.ticks)), data.ticks)
        axes.set_ylim(len(data.ticks) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(6, prune="upper"))  # a last one would be cut off
    if data.log_x:
        axes.set_xscale("log", base=2)  # counts, which are doubled
        axes.xaxis.set_major_formatter("{x:g}")
    if data.log_y:
        axes.set_yscale("log")
    whole_decades(axes)
    finish(axes, data.x_label, data.y_label)
    axes.spines[["top", "right"]].set_visible(False)
    legend_below(figure)
    return figure


def _plot(axes: object, curve: Curve, colour: str, *, named: bool) -> None:
    """Plots one curve; intervals are bars of points and bands of lines."""
    style = {"color": colour, "linestyle": STYLES[curve.style], "label": curve.name or None}
    x, y = np.asarray(curve.x, dtype=float), np.asarray(curve.y, dtype=float)
    if curve.style == "points":
        axes.plot(x, y, marker="o", **style)
    else:
        axes.plot(x, y, **style)
    if curve.low is None:
        return
    low, high = (np.asarray(ends, dtype=float) for ends in (curve.low, curve.high))
    if curve.style != "points":
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    elif named:
        axes.hlines(y, low, high, color=colour)
    else:
        axes.vlines(x, low, high, color=colour)


def _colours(curves: tuple[Curve, ...]) -> list[str]:
    """A colour each; dashed lines, which are limits and baselines, are grey if there are others."""
    plain = iter(COLOURS)
    solid = any(curve.style != "dashed" for curve in curves)
    return [BOUND if solid and curve.style == "dashed" else next(plain) for curve in curves]
