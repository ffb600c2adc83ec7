"""The alignment scatter: variance over squared bias, one point per test sample.

Samples that the ensemble gets right are blue, those it gets wrong vermilion.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from bvalign.show.figures.layout import finish, legend_below, lettered
from bvalign.show.figures.layout import panels as in_panels
from bvalign.show.figures.lines import Line
from bvalign.show.figures.points import plot_points
from bvalign.show.figures.style import (
    AREA,
    BOUND,
    CORRECT,
    FIT,
    HALO,
    LINES,
    OTHER_LINE,
    WRONG,
    whole_decades,
)
from bvalign.show.quantities import title

DECADES_SHOWN = 14
"""Decades that a log axis shows below its largest value; the caption counts the samples below."""


class Panel(NamedTuple):
    """The values and lines of one panel of the scatter."""

    estimator: Literal["plug-in", "unbiased"]
    bias_sq: Float[np.ndarray, " samples"]
    variance: Float[np.ndarray, " samples"]
    lines: Sequence[Line] = ()  # dotted if flagged; the first has a band
    bounded: bool = True  # whether the bounds hold: for plug-in values, but not of soft labels


def alignment_scatter(
    panels: Sequence[Panel],
    correct: Bool[np.ndarray, " samples"],
    *,
    num_members: int,
    num_classes: int,
    log: bool = True,
) -> Figure:
    """Plots variance over squared bias, one point per test sample, darker where they are denser.

    Args:
        panels: from left to right.
        correct: whether the mean prediction is right.
        num_members: M, for the ceiling M - 1.
        num_classes: K, for the feasible region.
        log: log axes that span the same decades, so that slope one is the diagonal; else linear.
    """
    figure, grid = in_panels(len(panels), 1.06 if log else 0.75)
    size = {"num_members": num_members, "num_classes": num_classes}
    for panel, axes in zip(panels, grid, strict=True):
        plot_panel(axes, panel, correct, **size, log=log)
    lettered(grid)
    legend_below(figure)
    figure.get_layout_engine().set(w_pad=0.09)  # square panels hide labels at their corners from it
    return figure


def plot_panel(
    axes: Axes,
    panel: Panel,
    correct: Bool[np.ndarray, " samples"],
    *,
    num_members: int,
    num_classes: int,
    log: bool = True,
    limits: tuple[float, float] | None = None,
) -> None:
    """Plots one scatter with bounds and lines, which have labels for a legend.

    Args:
        axes: of the panel.
        panel: the values.
        correct: whether the mean prediction is right.
        num_members: M.
        num_classes: K.
        log: log axes; else linear.
        limits: of both log axes; by default `log_limits` of the panel.
    """
    _plot_cloud(axes, panel, correct, log, limits)
    _plot_bounds(axes, num_members, num_classes, bounded=panel.bounded)
    _plot_lines(axes, panel, correct, (num_members, num_classes))
    kind = f", {panel.estimator}\n(squared probability)"
    finish(axes, title("bias_sq") + kind, title("variance") + kind)


def log_limits(panel: Panel) -> tuple[float, float]:
    """Returns the limits of both log axes: the same, so that slope one is the diagonal."""
    x, y = (values[shown(panel)] for values in (panel.bias_sq, panel.variance))
    both = np.concatenate([x, y]) if len(x) else np.ones(1)
    return float(both.min()) / 2, float(both.max()) * 3


def feasible_variance(
    bias_sq: Float[np.ndarray, " points"], num_members: int, num_classes: int
) -> Float[np.ndarray, " points"]:
    """Bounds the plug-in variance of any M members over K classes, given their bias_sq.

    Args:
        bias_sq: positive.
        num_members: M; the variance is at most M - 1 times bias_sq.
        num_classes: K, for the bound that the probability simplex sets.
    """
    ratio = (num_classes - 1) / num_classes
    simplex = np.where(bias_sq <= 1 / ratio, 2 * np.sqrt(bias_sq * ratio) - bias_sq, 2 - bias_sq)
    return np.minimum(simplex, (num_members - 1) * bias_sq)


def shown(panel: Panel, *, log: bool = True) -> Bool[np.ndarray, " samples"]:
    """Selects the samples that the axes can show."""
    able = np.isfinite(panel.bias_sq) & np.isfinite(panel.variance)
    if log:
        for values in (panel.bias_sq, panel.variance):
            able &= values > 10.0**-DECADES_SHOWN * np.nanmax(values, initial=0)
    return able


def _plot_cloud(
    axes: Axes,
    panel: Panel,
    correct: Bool[np.ndarray, " samples"],
    log: bool,
    limits: tuple[float, float] | None,
) -> None:
    """Plots the points and sets the limits."""
    seen = shown(panel, log=log)
    x, y, right = panel.bias_sq[seen], panel.variance[seen], correct[seen]
    plot_points(axes, x[right], y[right], CORRECT, f"correct ({int(correct.sum()):,})", log)
    plot_points(axes, x[~right], y[~right], WRONG, f"wrong ({int((~correct).sum()):,})", log)
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(limits or log_limits(panel))
        axes.set_ylim(limits or log_limits(panel))
        whole_decades(axes)
        axes.set_box_aspect(1)
    else:
        axes.set_xlim(0, 1.05 * x.max(initial=0) or 1.0)
        axes.set_ylim(0, 1.1 * y.max(initial=0) or 1.0)


def _plot_bounds(axes: Axes, num_members: int, num_classes: int, *, bounded: bool) -> None:
    low, high = axes.get_xlim()
    limits, thin = axes.get_ylim(), 0.7 * mpl.rcParams["lines.linewidth"]
    b = np.linspace(low, high, 200)  # where the bound bends
    if axes.get_xscale() == "log":
        b = np.sort(np.append(np.geomspace(low, high, 100), b[b > 0.1]))
    axes.plot(
        [low, high], [low, high], color=FIT, lw=thin, ls="--", label="variance = squared bias"
    )
    if bounded:
        if num_members > 2:
            text = f"ceiling: {num_members - 1} × squared bias"
            ceiling = [(num_members - 1) * low, (num_members - 1) * high]
            axes.plot([low, high], ceiling, color=BOUND, lw=thin, label=text)
        top = feasible_variance(b, num_members, num_classes)
        style = {"color": AREA, "alpha": 0.25, "lw": 0, "zorder": 0}
        axes.fill_between(b, top, limits[1], label="not feasible", **style)
    axes.set_xlim(low, high)
    axes.set_ylim(*limits)


def _plot_lines(
    axes: Axes, panel: Panel, correct: Bool[np.ndarray, " samples"], size: tuple[int, int]
) -> None:
    """Plots the lines where there are correct samples, and nowhere that no ensemble can reach."""
    x = panel.bias_sq[correct & (panel.bias_sq > 0) & (panel.variance > 0)]
    if not len(x):
        return
    b = np.geomspace(x.min(), x.max(), 100)
    centre, width = float(np.log(x).mean()), mpl.rcParams["lines.linewidth"]
    top = feasible_variance(b, *size) if panel.bounded else np.full_like(b, np.inf)
    for number, line in enumerate(panel.lines):
        colour, y = LINES.get(line.name, OTHER_LINE), line.at(b)
        band = None if number else line.band(b, centre)
        if band is not None:
            low, high = (np.minimum(edge, top) for edge in band)
            axes.fill_between(b, low, high, color=colour, alpha=0.2, lw=0, zorder=4)
        axes.plot(
            b,
            np.where(y <= top, y, np.nan),
            color=colour,
            lw=width,
            ls=":" if line.flags else "-",
            label=str(line),
            zorder=5,
            path_effects=[withStroke(linewidth=2 * width, foreground=HALO)],
        )
