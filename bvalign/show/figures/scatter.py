"""The alignment scatter: variance over squared bias, one point per test sample.

Samples that the ensemble gets right are blue, those it gets wrong vermilion.
"""

from collections.abc import Sequence
from textwrap import fill
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from bvalign.show.figures.lines import Line
from bvalign.show.figures.style import (
    BOUND,
    CORRECT,
    FIT,
    GRID,
    LINES,
    OTHER_LINE,
    WRONG,
    whole_decades,
)

SHADES = {
    CORRECT: LinearSegmentedColormap.from_list("correct", ["#4FA3D9", CORRECT, "#00263D"]),
    WRONG: LinearSegmentedColormap.from_list("wrong", ["#E8752A", WRONG, "#5A2700"]),
}
DECADES_SHOWN = 14
"""Decades that a log axis shows below its largest value; the title counts the samples below."""

LABEL_WIDTH = 64
"""Characters of a line of the legend."""


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
    figure = Figure(figsize=(6.2 * len(panels), 6.3), layout="constrained")
    size = {"num_members": num_members, "num_classes": num_classes}
    for panel, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        title = f"{panel.estimator}: "
        plot_panel(axes, panel, correct, **size, log=log, title=title)
    return figure


def plot_panel(
    axes: Axes,
    panel: Panel,
    correct: Bool[np.ndarray, " samples"],
    *,
    num_members: int,
    num_classes: int,
    log: bool = True,
    title: str = "",
    limits: tuple[float, float] | None = None,
) -> None:
    """Plots one scatter with bounds, lines and legend.

    Args:
        axes: of the panel.
        panel: the values.
        correct: whether the mean prediction is right.
        num_members: M.
        num_classes: K.
        log: log axes; else linear.
        title: in front of N and M.
        limits: of both log axes; by default `log_limits` of the panel.
    """
    hidden = _plot_cloud(axes, panel, correct, log, limits)
    _plot_bounds(axes, num_members, num_classes, bounded=panel.bounded)
    _plot_lines(axes, panel, correct)
    axes.set_xlabel("squared bias (squared probability)")
    axes.set_ylabel("variance (squared probability)")
    note = f", {hidden} not shown (zero or > {DECADES_SHOWN} decades down)" if hidden else ""
    axes.set_title(f"{title}N = {len(correct)}, M = {num_members}{note}", fontsize=10)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.11), "ncols": 3}
    axes.legend(**({"loc": "upper left"} if log else below), fontsize=8, framealpha=0.9)
    axes.grid(True, **GRID)
    axes.set_axisbelow(True)


def log_limits(panel: Panel) -> tuple[float, float]:
    """Returns the limits of both log axes: the same, so that slope one is the diagonal."""
    x, y = (values[_shown(panel, log=True)] for values in (panel.bias_sq, panel.variance))
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


def _shown(panel: Panel, *, log: bool) -> Bool[np.ndarray, " samples"]:
    """Selects the samples that the axes can show."""
    shown = np.isfinite(panel.bias_sq) & np.isfinite(panel.variance)
    if log:
        for values in (panel.bias_sq, panel.variance):
            shown &= values > 10.0**-DECADES_SHOWN * np.nanmax(values, initial=0)
    return shown


def _plot_cloud(
    axes: Axes,
    panel: Panel,
    correct: Bool[np.ndarray, " samples"],
    log: bool,
    limits: tuple[float, float] | None,
) -> int:
    """Plots the points and sets the limits; returns the number of samples that are not shown."""
    shown = _shown(panel, log=log)
    x, y, right = panel.bias_sq[shown], panel.variance[shown], correct[shown]
    _plot_points(axes, x[right], y[right], CORRECT, f"correct ({int(correct.sum())})", log)
    _plot_points(axes, x[~right], y[~right], WRONG, f"wrong ({int((~correct).sum())})", log)
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
    return len(correct) - int(shown.sum())


def _plot_points(
    axes: Axes,
    x: Float[np.ndarray, " points"],
    y: Float[np.ndarray, " points"],
    colour: str,
    name: str,
    log: bool,
) -> None:
    """Plots points, darker where they are denser."""
    shade = np.zeros(len(x))
    if len(x) > 1:
        position = np.log(np.stack([x, y])) if log else np.stack([x, y])
        counts, *edges = np.histogram2d(*position, bins=60)
        cell = [np.clip(np.digitize(p, e) - 1, 0, 59) for p, e in zip(position, edges, strict=True)]
        density = np.log1p(counts[tuple(cell)] - 1)
        shade = density / max(density.max(), np.log(20))
    order = np.argsort(shade, kind="stable")
    axes.scatter(
        x[order],
        y[order],
        c=shade[order],
        cmap=SHADES[colour],
        vmin=0,
        vmax=1,
        s=max(3.0, 16 - 2.5 * np.log10(max(len(x), 1))),
        linewidths=0,
        rasterized=True,
        zorder=3 if colour == WRONG else 2,
    )
    axes.scatter([], [], color=colour, s=20, label=name)


def _plot_bounds(axes: Axes, num_members: int, num_classes: int, *, bounded: bool) -> None:
    low, high = axes.get_xlim()
    limits = axes.get_ylim()
    grid = np.geomspace(max(low, 1e-300), high, 400) if axes.get_xscale() == "log" else None
    b = np.linspace(low, high, 800) if grid is None else grid
    axes.plot(b, b, color=FIT, lw=1, ls="--", label="variance = bias²")
    if bounded:
        if num_members > 2:
            text = f"finite-M ceiling: variance = {num_members - 1} bias²"
            axes.plot(b, (num_members - 1) * b, color=BOUND, lw=1.2, label=text)
        top = feasible_variance(b, num_members, num_classes)
        axes.fill_between(
            b, top, limits[1], color="#B0B0B0", alpha=0.25, lw=0, label="not feasible", zorder=0
        )
    axes.set_xlim(low, high)
    axes.set_ylim(*limits)


def _plot_lines(axes: Axes, panel: Panel, correct: Bool[np.ndarray, " samples"]) -> None:
    x = panel.bias_sq[correct & (panel.bias_sq > 0) & (panel.variance > 0)]
    if not len(x):
        return
    b = np.geomspace(x.min(), x.max(), 200)
    centre = float(np.log(x).mean())
    for number, line in enumerate(panel.lines):
        colour = LINES.get(line.name, OTHER_LINE)
        band = None if number else line.band(b, centre)
        if band is not None:
            axes.fill_between(b, *band, color=colour, alpha=0.2, lw=0, zorder=4)
        axes.plot(
            b,
            line.at(b),
            color=colour,
            lw=1.8,
            ls=":" if line.flags else "-",
            label="\n   ".join(fill(part, LABEL_WIDTH) for part in str(line).split("; ")),
            zorder=5,
            path_effects=[withStroke(linewidth=3.2, foreground="white")],
        )
