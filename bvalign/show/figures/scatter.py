"""The alignment scatter: variance over squared bias, one point per test sample.

Blue for samples the ensemble gets right, vermilion for those it gets wrong.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from bvalign.show.figures.lines import Line
from bvalign.show.figures.style import BOUND, CORRECT, FIT, GRID, LINES, OTHER_LINE, WRONG

SHADES = {
    CORRECT: LinearSegmentedColormap.from_list("correct", ["#4FA3D9", CORRECT, "#00263D"]),
    WRONG: LinearSegmentedColormap.from_list("wrong", ["#E8752A", WRONG, "#5A2700"]),
}
DECADES_SHOWN = 14
"""A log axis shows at most this many decades below its largest value; what lies below is counted
in the title."""


class Panel(NamedTuple):
    """One panel of the scatter."""

    estimator: Literal["plug-in", "unbiased"]  # the bounds hold for plug-in values only
    bias_sq: np.ndarray  # (samples)
    variance: np.ndarray  # (samples)
    lines: Sequence[Line] = ()  # the interval of the first is drawn as a band


def alignment_scatter(
    panels: Sequence[Panel],
    correct: np.ndarray,
    *,
    num_members: int,
    num_classes: int,
    log: bool = True,
) -> Figure:
    """Variance over squared bias, one point per test sample, darker where more of them lie.

    Args:
        panels: drawn side by side.
        correct: whether the ensemble's mean is right (samples).
        num_members: M, for the ceiling M - 1.
        num_classes: K, for the feasible region.
        log: logarithmic axes of the same decades, so that slope one is the diagonal, or linear.
    """
    figure = Figure(figsize=(6.2 * len(panels), 6.3), layout="constrained")
    size = {"num_members": num_members, "num_classes": num_classes}
    for panel, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        title = f"{panel.estimator}: "
        draw_panel(axes, panel, correct, **size, log=log, title=title)
    return figure


def draw_panel(
    axes: Axes,
    panel: Panel,
    correct: np.ndarray,
    *,
    num_members: int,
    num_classes: int,
    log: bool = True,
    title: str = "",
    limits: tuple[float, float] | None = None,
) -> None:
    """One scatter with bounds, lines and legend.

    Args:
        axes: drawn on.
        panel: the values.
        correct: whether the ensemble's mean is right (samples).
        num_members: M.
        num_classes: K.
        log: logarithmic or linear axes.
        title: stands before N and M.
        limits: of both logarithmic axes; those of the panel by default.
    """
    hidden = _draw_cloud(axes, panel, correct, log, limits)
    _draw_bounds(axes, num_members, num_classes, plug_in=panel.estimator == "plug-in")
    _draw_lines(axes, panel, correct)
    axes.set_xlabel("squared bias (squared probability)")
    axes.set_ylabel("variance (squared probability)")
    note = f", {hidden} not shown (zero or > {DECADES_SHOWN} decades down)" if hidden else ""
    axes.set_title(f"{title}N = {len(correct)}, M = {num_members}{note}", fontsize=10)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.11), "ncols": 3}
    axes.legend(**({"loc": "upper left"} if log else below), fontsize=8, framealpha=0.9)
    axes.grid(True, **GRID)
    axes.set_axisbelow(True)


def log_limits(panel: Panel) -> tuple[float, float]:
    """Ends of both logarithmic axes, so that slope one is the diagonal."""
    x, y = (values[_shown(panel, log=True)] for values in (panel.bias_sq, panel.variance))
    both = np.concatenate([x, y]) if len(x) else np.ones(1)
    return float(both.min()) / 2, float(both.max()) * 3


def feasible_variance(bias_sq: np.ndarray, num_members: int, num_classes: int) -> np.ndarray:
    """The largest plug-in variance that any M members over K classes can have at a bias_sq.

    Args:
        bias_sq: positive (points).
        num_members: M; no variance exceeds M - 1 times its bias_sq.
        num_classes: K, for what probabilities allow at all.
    """
    ratio = (num_classes - 1) / num_classes
    simplex = np.where(bias_sq <= 1 / ratio, 2 * np.sqrt(bias_sq * ratio) - bias_sq, 2 - bias_sq)
    return np.minimum(simplex, (num_members - 1) * bias_sq)


def _shown(panel: Panel, *, log: bool) -> np.ndarray:
    """Which samples the axes can show (samples)."""
    shown = np.isfinite(panel.bias_sq) & np.isfinite(panel.variance)
    if log:
        for values in (panel.bias_sq, panel.variance):
            shown &= values > 10.0**-DECADES_SHOWN * np.nanmax(values, initial=0)
    return shown


def _draw_cloud(
    axes: Axes, panel: Panel, correct: np.ndarray, log: bool, limits: tuple[float, float] | None
) -> int:
    """Points and limits; returns how many samples the axes cannot show."""
    shown = _shown(panel, log=log)
    x, y, right = panel.bias_sq[shown], panel.variance[shown], correct[shown]
    _points(axes, x[right], y[right], CORRECT, f"correct ({int(correct.sum())})", log)
    _points(axes, x[~right], y[~right], WRONG, f"wrong ({int((~correct).sum())})", log)
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(limits or log_limits(panel))
        axes.set_ylim(limits or log_limits(panel))
        axes.set_box_aspect(1)
    else:
        axes.set_xlim(0, 1.05 * x.max(initial=0) or 1.0)
        axes.set_ylim(0, 1.1 * y.max(initial=0) or 1.0)
    return len(correct) - int(shown.sum())


def _points(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, name: str, log: bool) -> None:
    """Points, darker where more of them lie."""
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


def _draw_bounds(axes: Axes, num_members: int, num_classes: int, *, plug_in: bool) -> None:
    low, high = axes.get_xlim()
    limits = axes.get_ylim()
    grid = np.geomspace(max(low, 1e-300), high, 400) if axes.get_xscale() == "log" else None
    b = np.linspace(low, high, 800) if grid is None else grid
    axes.plot(b, b, color=FIT, lw=1, ls="--", label="variance = bias²")
    if plug_in:
        if num_members > 2:
            text = f"finite-M ceiling: variance = {num_members - 1} bias²"
            axes.plot(b, (num_members - 1) * b, color=BOUND, lw=1.2, label=text)
        top = feasible_variance(b, num_members, num_classes)
        axes.fill_between(
            b, top, limits[1], color="#B0B0B0", alpha=0.25, lw=0, label="not feasible", zorder=0
        )
    axes.set_xlim(low, high)
    axes.set_ylim(*limits)


def _draw_lines(axes: Axes, panel: Panel, correct: np.ndarray) -> None:
    x = panel.bias_sq[correct & (panel.bias_sq > 0) & (panel.variance > 0)]
    if not len(x):
        return
    b = np.geomspace(x.min(), x.max(), 200)
    centre = float(np.log(x).mean())
    for number, line in enumerate(panel.lines):
        colour = LINES.get(line.name, OTHER_LINE)
        if line.interval is not None and not number:
            edges = [line.turned(slope, centre).at(b) for slope in line.interval]
            axes.fill_between(b, *edges, color=colour, alpha=0.2, lw=0, zorder=4)
        outline = [withStroke(linewidth=3.2, foreground="white")]
        axes.plot(
            b, line.at(b), color=colour, lw=1.8, label=str(line), zorder=5, path_effects=outline
        )
