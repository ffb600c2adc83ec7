"""Further figures of the samples: ratio, reliability, collapse, without labels."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from bvalign.analysis.calibration import Cells
from bvalign.analysis.collapse import EDGES, Collapse
from bvalign.analysis.intervals import Estimate
from bvalign.show.figures.scatter import DECADES_SHOWN
from bvalign.show.figures.style import (
    BOUND,
    CORRECT,
    FIT,
    GRID,
    OTHER_LINE,
    WRONG,
    whole_decades,
)

BINS_SHOWN = 200
"""Bins of the histogram of the logit noise over its whole range."""

DISTRIBUTION_COLOURS = ("#D55E00", "#CC79A7", "#0072B2", "#009E73")
"""Of gumbel, gumbel_max, gaussian and logistic."""


def ratio_histogram(
    ratio: Float[np.ndarray, " samples"],
    correct: Bool[np.ndarray, " samples"],
    population: Estimate,
    *,
    num_members: int,
    flags: Sequence[str] = (),
    bounded: bool = True,
) -> Figure:
    """Plots a histogram of variance / squared bias with its ceiling M - 1.

    Args:
        ratio: of these members, plug-in.
        correct: whether the mean prediction is right.
        population: geometric mean of the correct samples at infinitely many members.
        num_members: M.
        flags: reasons not to quote the population's number, for the legend.
        bounded: whether the ceiling holds, as it does not for soft labels.
    """
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
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
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))  # more labels would overlap
    axes.axvline(1, color=FIT, lw=1, ls="--", label="variance = bias²")
    if bounded and num_members > 2:
        axes.axvline(
            num_members - 1, color=BOUND, lw=1.5, label=f"ceiling M - 1 = {num_members - 1}"
        )
    _plot_population(axes, population, flags)
    axes.set_xlabel("variance / squared bias (of these members, plug-in)")
    axes.set_ylabel("test samples")
    axes.set_title(f"N = {len(ratio)}, M = {num_members}", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)  # beside the bars, not over them
    return figure


def _plot_population(axes: Axes, mean: Estimate, flags: Sequence[str]) -> None:
    """Plots the population's geometric mean with its interval, within the limits of the axes."""
    if mean.value is None:
        return
    limits, text = axes.get_xlim(), f"population: geometric mean {mean.value:.3g}"
    if mean.interval:
        axes.axvspan(*np.clip(mean.interval, *limits), color=OTHER_LINE, alpha=0.2, lw=0)
        text += ", 95% {:.3g} to {:.3g}".format(*mean.interval)
    if flags:
        text += f"\n   do not quote: {', '.join(flags)}"
    axes.axvline(mean.value, color=OTHER_LINE, lw=2, ls=":" if flags else "-", label=text)
    axes.set_xlim(limits)


def reliability(cells: Cells, *, num_samples: int, num_members: int) -> Figure:
    """Plots the accuracy of the ensemble mean over its confidence, and the samples of each bin.

    Args:
        cells: the bins of confidence that have samples.
        num_samples: N in all bins.
        num_members: M, for the title.
    """
    figure = Figure(figsize=(5.4, 6.2), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    predicted, residual = (v[:, 0].numpy() for v in (cells.predicted, cells.residual))
    counts = np.rint(cells.fraction.numpy() * num_samples).astype(int)
    error = 2 * cells.noise.nan_to_num().sqrt().numpy()
    axes.plot([0, 1], [0, 1], color=FIT, ls="--", lw=1, label="calibrated")
    text = "bin (bar: two standard errors over samples)"
    axes.errorbar(
        predicted, predicted - residual, error, fmt="o", color=CORRECT, capsize=3, label=text
    )
    axes.set_xlim(0, 1.03)
    axes.set_ylim(-0.03, 1.05)
    axes.set_ylabel("accuracy in the bin")
    axes.set_title(f"N = {num_samples}, M = {num_members}", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)  # beside the bins, not over them
    below.bar(predicted, counts, width=0.035, color=CORRECT)
    for x, count in zip(predicted, counts, strict=True):
        below.annotate(
            f"{count}", (x, count), (0, 2), textcoords="offset points", ha="center", fontsize=7
        )
    below.set_yscale("log")
    below.set_ylim(0.5, 8 * counts.max())
    below.set_ylabel("samples")
    below.set_xlabel("confidence: largest mean probability, mean of the bin")
    for panel in (axes, below):
        panel.grid(True, **GRID)
        panel.set_axisbelow(True)
    return figure


def collapse(collapse: Collapse, *, num_samples: int, num_members: int) -> Figure:
    """Plots the logit noise with the fitted distributions, and the model's prediction over data."""
    figure = Figure(figsize=(12.4, 5.2), layout="constrained")
    figure.suptitle(f"N = {num_samples}, M = {num_members}", fontsize=10)
    left, right = figure.subplots(1, 2)
    step = max(1, len(EDGES) // BINS_SHOWN)
    edges = EDGES.numpy()[::step]
    centres = (edges[1:] + edges[:-1]) / 2
    shown = np.abs(centres) < 5
    height = np.diff(collapse.noise.empirical_cdf.numpy()[::step]) / np.diff(edges)
    left.fill_between(centres[shown], height[shown], color="#D0D0D0", label="residual logits")
    for (name, fit), colour in zip(collapse.noise.fits.items(), DISTRIBUTION_COLOURS, strict=True):
        density = np.diff(fit.cdf.numpy()[::step]) / np.diff(edges)
        label = f"{name}: scale {fit.scale:.2f}, distance {fit.distance:.3f}"
        left.plot(centres[shown], density[shown], color=colour, lw=1.6, label=label)
    left.set_yscale("log")
    left.set_ylim(1e-5, 1)
    left.set_xlabel("logit, centred over members and classes (standard deviations)")
    left.set_ylabel("density")
    skew, kurtosis = collapse.noise.skewness, collapse.noise.excess_kurtosis
    asymmetry = f"skewness {skew:.2f}" if np.isfinite(skew) else "no skewness (two classes)"
    left.set_title(f"{asymmetry}, excess kurtosis {kurtosis:.2f}", fontsize=10)
    for values, colour, label in (
        (collapse.data, CORRECT, f"data, slope {collapse.slope_data:.3f}"),
        (
            collapse.simulated,
            "#E69F00",
            f"model, M = {num_members}, slope {collapse.slope_simulated:.3f}",
        ),
    ):
        style = {"s": 6, "lw": 0, "alpha": 0.5, "color": colour, "rasterized": True}
        right.scatter(values.bias_sq, values.variance, label=label, **style)
    text = f"model, M → ∞, slope {collapse.slope_population:.3f}"
    right.plot(collapse.curve.bias_sq, collapse.curve.variance, color=FIT, lw=1.8, label=text)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("squared bias (squared probability)")
    right.set_ylabel("variance (squared probability)")
    right.set_title(f"{collapse.distribution} noise at the margins of the data", fontsize=10)
    left.legend(loc="lower center", fontsize=8)
    right.legend(loc="upper left", fontsize=8)  # both clouds rise, and "best" would ask each point
    for axes in (left, right):
        whole_decades(axes)
        axes.grid(True, **GRID)
    return figure


def variance_over_confidence(
    error: Float[np.ndarray, " samples"],
    variance: Float[np.ndarray, " samples"],
    disagreement: Float[np.ndarray, " samples"],
    *,
    num_members: int,
    num_classes: int,
    axes: Axes | None = None,
) -> Figure:
    """Plots variance over a = 1 - confidence; colour says how often members disagree.

    Variance is at most 1 - ‖p̄‖² <= 2a - a² K/(K-1), and at most M - 1 times the squared distance
    of p̄ from the predicted class, 2a² or less.

    Args:
        error: a = 1 - max p̄.
        variance: plug-in.
        disagreement: fraction of the pairs of members that vote differently.
        num_members: M.
        num_classes: K.
        axes: to plot on; by default those of a new figure.
    """
    axes = axes or Figure(figsize=(7.2, 5.6), layout="constrained").add_subplot()
    shown = (error > 0) & (variance > 10.0**-DECADES_SHOWN * variance.max(initial=0))
    order = np.argsort(disagreement[shown], kind="stable")
    x, y, colour = (values[shown][order] for values in (error, variance, disagreement))
    style = {"s": max(3.0, 16 - 2.5 * np.log10(max(len(x), 1))), "lw": 0, "rasterized": True}
    points = axes.scatter(x, y, c=colour, cmap="cividis", vmin=0, vmax=1, **style)
    axes.figure.colorbar(points, ax=axes, label="disagreement (fraction of pairs of members)")
    low = x.min(initial=1) / 2
    a = np.geomspace(low, 1 - 1 / num_classes, 400)
    feasible = 2 * a - a**2 * num_classes / (num_classes - 1)
    top = np.minimum(feasible, 2 * (num_members - 1) * a**2)
    axes.fill_between(a, top, 2, color="#B0B0B0", alpha=0.25, lw=0, label="not feasible", zorder=0)
    axes.set(xscale="log", yscale="log", xlim=(low, 1), ylim=(y.min(initial=1) / 2, 1))
    axes.set_xlabel("1 - confidence (largest mean probability)")
    axes.set_ylabel("variance (squared probability), plug-in")
    hidden = len(error) - len(x)
    off = f"; {hidden} with almost no variance are off the axes" if hidden else ""
    axes.set_title(f"N = {len(error)}, M = {num_members}{off}", fontsize=10)
    axes.legend(fontsize=8, loc="lower right")
    axes.set_axisbelow(True)
    axes.grid(True, **GRID)
    return axes.figure


def disagreement_histogram(
    disagreement: Float[np.ndarray, " samples"], *, num_members: int
) -> Figure:
    """Plots a histogram of the fraction of pairs of members that vote differently."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(disagreement, bins=np.linspace(-0.025, 1.025, 22), color=CORRECT)
    mean = disagreement.mean()
    axes.axvline(mean, color=FIT, lw=1, ls="--", label=f"mean {mean:.4f}")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    axes.set_xlabel("disagreement (fraction of pairs of members that vote differently)")
    axes.set_ylabel("samples")
    agreed = int((disagreement == 0).sum())
    title = f"N = {len(disagreement)}, M = {num_members}; all members agree on {agreed}"
    axes.set_title(title, fontsize=10)
    axes.legend(loc="best", fontsize=8)
    return figure
