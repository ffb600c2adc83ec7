"""Further figures of the samples: ratio, reliability, without labels."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from bvalign.analysis.calibration import Cells
from bvalign.analysis.intervals import Estimate
from bvalign.show.figures.layout import finish, legend_below, panels
from bvalign.show.figures.points import MOST_VECTORS, point_area
from bvalign.show.figures.scatter import DECADES_SHOWN
from bvalign.show.figures.style import (
    AREA,
    BOUND,
    CORRECT,
    FIT,
    OTHER_LINE,
    WRONG,
    whole_decades,
)
from bvalign.show.rounding import rounded

DISAGREEMENT_EDGES = np.linspace(-0.025, 1.025, 22)
"""Of the bins of the histogram of disagreement."""


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
        flags: reasons not to quote the population's number.
        bounded: whether the ceiling holds, as it does not for soft labels.
    """
    figure, (axes,) = panels(1, 0.72)
    usable = usable_ratios(ratio)
    if usable.any():
        groups = [ratio[usable & correct], ratio[usable & ~correct]]
        names = [f"correct ({int(correct.sum()):,})", f"wrong ({int((~correct).sum()):,})"]
        style = {"stacked": True, "color": [CORRECT, WRONG], "label": names}
        axes.hist(groups, bins=ratio_bins(ratio, num_members), **style)
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))  # more labels would overlap
    axes.axvline(1, color=FIT, ls="--", label="variance = squared bias")
    if bounded and num_members > 2:
        text = f"ceiling M − 1 = {num_members - 1}"
        axes.axvline(num_members - 1, color=BOUND, label=text)
    _plot_population(axes, population, flags)
    finish(axes, "variance / squared bias of these members", "test samples")
    legend_below(figure)
    return figure


def usable_ratios(ratio: Float[np.ndarray, " samples"]) -> Bool[np.ndarray, " samples"]:
    """Selects the ratios that have a logarithm."""
    return np.isfinite(ratio) & (ratio > 0)


def ratio_bins(ratio: Float[np.ndarray, " samples"], num_members: int) -> Float[np.ndarray, " 61"]:
    """Edges of the bins of `ratio_histogram`, from the eighth decade below the top."""
    usable = ratio[usable_ratios(ratio)]
    low, high = np.log10(usable.min()), np.log10(max(usable.max(), num_members - 1))
    return np.logspace(max(low, high - 8) - 0.05, high + 0.1, 61)


def _plot_population(axes: Axes, mean: Estimate, flags: Sequence[str]) -> None:
    """Plots the population's geometric mean with its interval, within the limits of the axes."""
    if mean.value is None:
        return
    limits, (value, *ends) = axes.get_xlim(), rounded(mean)
    text = f"population: geometric mean {value}"
    if mean.interval:
        axes.axvspan(*np.clip(mean.interval, *limits), color=OTHER_LINE, alpha=0.2, lw=0)
        text += f" ({' to '.join(ends)})"
    text += ", do not quote" if flags else ""
    axes.axvline(mean.value, color=OTHER_LINE, ls=":" if flags else "-", label=text)
    axes.set_xlim(limits)


def reliability(cells: Cells, *, num_samples: int) -> Figure:
    """Plots the accuracy of the ensemble mean over its confidence, and the samples of each bin.

    Args:
        cells: the bins of confidence that have samples.
        num_samples: N in all bins.
    """
    figure, (axes, below) = panels(2, 0.45, most=1, sharex=True, height_ratios=(4, 1.2))
    predicted, residual = (v[:, 0].numpy() for v in (cells.predicted, cells.residual))
    counts = np.rint(cells.fraction.numpy() * num_samples).astype(int)
    error = 2 * cells.noise.nan_to_num().sqrt().numpy()
    axes.plot([0, 1], [0, 1], color=FIT, ls="--", label="calibrated")
    style = {"fmt": "o", "color": CORRECT, "capsize": 3}
    text = "bin (bar: two standard errors over samples)"
    axes.errorbar(predicted, predicted - residual, error, label=text, **style)
    axes.set_xlim(0, 1.03)
    axes.set_ylim(-0.03, 1.05)
    finish(axes, "", "accuracy in the bin")
    below.bar(predicted, counts, width=0.035, color=CORRECT)
    below.set_yscale("log")
    below.set_ylim(0.5, 8 * counts.max())
    finish(below, "confidence: largest mean probability, mean of the bin", "samples")
    legend_below(figure)
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
    alone = axes is None
    axes = axes or panels(1, 0.8).axes[0]
    shown = variance_shown(error, variance)
    order = np.argsort(disagreement[shown], kind="stable")
    x, y, colour = (values[shown][order] for values in (error, variance, disagreement))
    style = {"s": point_area(len(x)), "lw": 0, "rasterized": len(x) > MOST_VECTORS}
    points = axes.scatter(x, y, c=colour, cmap="cividis", vmin=0, vmax=1, **style)
    text = "disagreement (fraction of pairs of members)"
    axes.figure.colorbar(points, ax=axes, label=text)
    low = x.min(initial=1) / 2
    a = np.geomspace(low, 1 - 1 / num_classes, 400)
    feasible = 2 * a - a**2 * num_classes / (num_classes - 1)
    top = np.minimum(feasible, 2 * (num_members - 1) * a**2)
    axes.fill_between(a, top, 2, color=AREA, alpha=0.25, lw=0, label="not feasible", zorder=0)
    axes.set(xscale="log", yscale="log", xlim=(low, 1), ylim=(y.min(initial=1) / 2, 1))
    whole_decades(axes)
    x_label = "1 − confidence (largest mean probability)"
    finish(axes, x_label, "variance, plug-in\n(squared probability)")
    if alone:
        legend_below(axes.figure)
    else:
        axes.legend(loc="lower right")  # nothing is feasible above, and few samples lie below
    return axes.figure


def variance_shown(
    error: Float[np.ndarray, " samples"], variance: Float[np.ndarray, " samples"]
) -> Bool[np.ndarray, " samples"]:
    """Selects the samples that the axes of `variance_over_confidence` can show."""
    return (error > 0) & (variance > 10.0**-DECADES_SHOWN * variance.max(initial=0))


def disagreement_histogram(disagreement: Float[np.ndarray, " samples"]) -> Figure:
    """Plots a histogram of the fraction of pairs of members that vote differently."""
    figure, (axes,) = panels(1, 0.65)
    axes.hist(disagreement, bins=DISAGREEMENT_EDGES, color=CORRECT)
    mean = disagreement.mean()
    axes.axvline(mean, color=FIT, ls="--", label=f"mean {mean:.4f}")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    finish(axes, "disagreement (fraction of pairs of members)", "samples")
    legend_below(figure)
    return figure
