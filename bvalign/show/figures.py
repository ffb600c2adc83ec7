"""Arrays to matplotlib figures: no files, no loggers, no pyplot state.

One wording and one set of colours everywhere: blue for samples the ensemble gets right, vermilion
for those it gets wrong (Okabe and Ito's palette, told apart by the colour-blind and in grey).
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

CORRECT, WRONG, INK, FIT, BOUND = "#0072B2", "#D55E00", "#333333", "#000000", "#7F7F7F"
SHADES = {
    CORRECT: LinearSegmentedColormap.from_list("correct", ["#4FA3D9", CORRECT, "#00263D"]),
    WRONG: LinearSegmentedColormap.from_list("wrong", ["#E8752A", WRONG, "#5A2700"]),
}
DECADES_SHOWN = 14
"""A log axis shows at most this many decades below its largest value; what lies below is counted
in the title."""


def alignment_scatter(
    bias_sq: np.ndarray,
    variance: np.ndarray,
    correct: np.ndarray,
    *,
    num_members: int,
    num_classes: int,
    estimator: str,
    log: bool = True,
    line: tuple[float, float] | None = None,
    band: tuple[float, float] | None = None,
    label: str = "",
) -> Figure:
    """One point per test sample: variance over squared bias. See `draw_alignment`."""
    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
    draw_alignment(
        figure.add_subplot(),
        bias_sq,
        variance,
        correct,
        num_members=num_members,
        num_classes=num_classes,
        estimator=estimator,
        log=log,
        line=line,
        band=band,
        label=label,
    )
    return figure


def draw_alignment(
    axes: Axes,
    bias_sq: np.ndarray,
    variance: np.ndarray,
    correct: np.ndarray,
    *,
    num_members: int,
    num_classes: int,
    estimator: str,
    log: bool = True,
    line: tuple[float, float] | None = None,
    band: tuple[float, float] | None = None,
    label: str = "",
) -> None:
    """Draws the alignment scatter.

    Args:
        axes: where.
        bias_sq: squared bias (samples).
        variance: variance (samples).
        correct: whether the ensemble's mean is right (samples).
        num_members: M, for the ceiling M - 1 and the title.
        num_classes: K, for the feasible region.
        estimator: "plug-in" or "unbiased", for the title; bounds hold for plug-in values only.
        log: logarithmic axes of equal scale, or linear ones.
        line: slope and intercept of the fit in natural logarithms.
        band: lowest and highest slope of its 95% interval; drawn around the cloud's centre.
        label: name of the fit in the legend.
    """
    shown = np.isfinite(bias_sq) & np.isfinite(variance)
    if log:
        shown &= (bias_sq > 0) & (variance > 0)
    if log and shown.any():
        floor = 10.0**-DECADES_SHOWN
        shown &= (bias_sq > floor * bias_sq[shown].max()) & (
            variance > floor * variance[shown].max()
        )
    hidden = len(bias_sq) - int(shown.sum())
    x, y, right = bias_sq[shown], variance[shown], correct[shown]
    _points(axes, x[right], y[right], CORRECT, f"correct ({int(correct.sum())})", log)
    _points(axes, x[~right], y[~right], WRONG, f"wrong ({int((~correct).sum())})", log)
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
        _equal_decades(axes, x, y)
    else:
        axes.set_xlim(0, max(1.0, 1.05 * x.max(initial=0)))
        axes.set_ylim(0, max(0.5, 1.1 * y.max(initial=0)))
    _bounds(axes, num_members, num_classes, plug_in=estimator == "plug-in")
    if line is not None:
        _fit(axes, x[right], line, band, label, log)
    axes.set_xlabel("squared bias (squared probability)")
    axes.set_ylabel("variance (squared probability)")
    below = f", {hidden} not shown (zero or > {DECADES_SHOWN} decades down)" if hidden else ""
    axes.set_title(f"{estimator}: N = {len(bias_sq)}, M = {num_members}{below}", fontsize=10)
    axes.legend(loc="upper left", fontsize=8, frameon=True, framealpha=0.9)
    axes.grid(True, color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)


def alignment_panels(
    values: dict[str, tuple[np.ndarray, np.ndarray]],
    correct: np.ndarray,
    lines: dict[str, tuple[float, float]],
    bands: dict[str, tuple[float, float]],
    *,
    num_members: int,
    num_classes: int,
    log: bool,
    label: str,
) -> Figure:
    """Plug-in values beside unbiased ones, one panel each."""
    figure = Figure(figsize=(6.2 * len(values), 6.3), layout="constrained")
    for axes, (estimator, (bias_sq, variance)) in zip(
        np.atleast_1d(figure.subplots(1, len(values))), values.items(), strict=True
    ):
        draw_alignment(
            axes,
            bias_sq,
            variance,
            correct,
            num_members=num_members,
            num_classes=num_classes,
            estimator=estimator,
            log=log,
            line=lines.get(estimator),
            band=bands.get(estimator),
            label=label,
        )
    return figure


def slope_over_members(
    curves: dict[str, Sequence[tuple[int, float, float | None]]],
    *,
    num_samples: int,
    final: dict[str, tuple[float, float]] | None = None,
) -> Figure:
    """Each slope estimator over the number of members it uses.

    Args:
        curves: name -> rows (members, mean slope, standard deviation over random subsets).
        num_samples: N, for the title.
        final: name -> 95% interval of the full ensemble, drawn at its right end.
    """
    styles = {
        "cross_half": ("o", "#0072B2"),
        "ols": ("s", "#D55E00"),
        "ols_unbiased": ("^", "#009E73"),
    }
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for name, rows in curves.items():
        marker, colour = styles.get(name, ("d", INK))
        members, mean, spread = (np.array([row[i] or 0.0 for row in rows]) for i in range(3))
        axes.errorbar(
            members, mean, yerr=spread, marker=marker, color=colour, label=name, capsize=3, lw=1.5
        )
        if final and name in final:
            axes.vlines(members[-1], *final[name], color=colour, lw=4, alpha=0.35)
    axes.axhline(1, color=BOUND, ls="--", lw=1, label="slope one")
    axes.set_xscale("log", base=2)
    sizes = sorted({row[0] for rows in curves.values() for row in rows})
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("members M (random subsets; bars: one standard deviation)")
    axes.set_ylabel("slope of log variance on log squared bias")
    axes.set_title(f"Does the slope drift with M?  N = {num_samples}", fontsize=10)
    axes.legend(fontsize=8)
    axes.grid(True, color="#E6E6E6", linewidth=0.6)
    return figure


def ratio_histogram(ratio: np.ndarray, correct: np.ndarray, *, num_members: int) -> Figure:
    """Histogram of variance / squared bias (plug-in) with the ceiling M - 1."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    usable = np.isfinite(ratio) & (ratio > 0)
    if usable.any():
        low, high = (
            np.log10(ratio[usable].min()),
            np.log10(max(ratio[usable].max(), num_members - 1)),
        )
        bins = np.logspace(max(low, high - 8) - 0.05, high + 0.1, 61)
        groups = [ratio[usable & correct], ratio[usable & ~correct]]
        names = [f"correct ({int(correct.sum())})", f"wrong ({int((~correct).sum())})"]
        axes.hist(groups, bins=bins, stacked=True, color=[CORRECT, WRONG], label=names)
    axes.set_xscale("log")
    axes.axvline(1, color=FIT, lw=1, ls="--", label="variance = bias²")
    if num_members > 2:
        axes.axvline(
            num_members - 1, color=BOUND, lw=1.5, label=f"ceiling M - 1 = {num_members - 1}"
        )
    axes.set_xlabel("variance / squared bias (plug-in)")
    axes.set_ylabel("test samples")
    axes.set_title(f"N = {len(ratio)}, M = {num_members}", fontsize=10)
    axes.legend(fontsize=8)
    return figure


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


def _equal_decades(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """The same limits on both axes, so that slope one is the diagonal."""
    if len(x):
        both = np.concatenate([x, y])
        axes.set_xlim(both.min() / 2, both.max() * 3)
        axes.set_ylim(both.min() / 2, both.max() * 3)
    axes.set_box_aspect(1)


def _bounds(axes: Axes, num_members: int, num_classes: int, *, plug_in: bool) -> None:
    low, high = axes.get_xlim()
    limits = axes.get_ylim()
    grid = np.geomspace(max(low, 1e-300), high, 400) if axes.get_xscale() == "log" else None
    b = np.linspace(low, high, 800) if grid is None else grid
    axes.plot(b, b, color=FIT, lw=1, ls="--", label="variance = bias²")
    if plug_in:
        ratio = (num_classes - 1) / num_classes
        feasible = np.where(b <= 1 / ratio, 2 * np.sqrt(np.maximum(b, 0) * ratio) - b, 2 - b)
        if num_members > 2:
            axes.plot(
                b,
                (num_members - 1) * b,
                color=BOUND,
                lw=1.2,
                label=f"finite-M ceiling: variance = {num_members - 1} bias²",
            )
        top = np.minimum(feasible, (num_members - 1) * b)
        axes.fill_between(
            b, top, limits[1], color="#B0B0B0", alpha=0.25, lw=0, label="not feasible", zorder=0
        )
    axes.set_xlim(low, high)
    axes.set_ylim(*limits)


def _fit(
    axes: Axes,
    x: np.ndarray,
    line: tuple[float, float],
    band: tuple[float, float] | None,
    label: str,
    log: bool,
) -> None:
    if not len(x):
        return
    slope, intercept = line
    b = np.geomspace(x.min(), x.max(), 200)
    fit = np.exp(intercept) * b**slope
    text = f"{label}: slope {slope:.3f}"
    if band is not None:
        centre = np.exp(np.log(x).mean())
        at_centre = np.exp(intercept) * centre**slope
        low, high = (at_centre * (b / centre) ** s for s in band)
        axes.fill_between(
            b, np.minimum(low, high), np.maximum(low, high), color=FIT, alpha=0.2, lw=0
        )
        text += f" [{band[0]:.3f}, {band[1]:.3f}]"
    axes.plot(b, fit, color=FIT, lw=1.8, label=text, zorder=4)
