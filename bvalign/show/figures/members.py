"""Figures of members rather than samples: their pairs and curves."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bvalign.analysis.summary import Analysis
from bvalign.show.figures.style import CORRECT, FIT, GRID, WRONG

PAIRS_SHOWN = 10_000
SIZE_STYLES = {
    "risk": ("o", FIT),
    "bias_sq": ("s", CORRECT),
    "variance": ("^", WRONG),
    "error": ("v", "#009E73"),
}
"""Marker and colour of each value in `over_size` (Okabe and Ito's palette)."""


class Interval(NamedTuple):
    """A value at several sizes with its interval; no bar where the ends are NaN."""

    value: Float[np.ndarray, " sizes"]
    low: Float[np.ndarray, " sizes"]
    high: Float[np.ndarray, " sizes"]


def over_size(
    sizes: Sequence[int | float],
    values: Mapping[str, Interval],
    *,
    size_name: str,
    num_samples: int,
    num_members: int,
) -> Figure:
    """Plots risk, squared bias, variance and error rate over the size of the network or data.

    Args:
        sizes: width, depth, parameters or examples, positive.
        values: any of `risk`, `bias_sq`, `variance` (squared probability), in the left panel, and
            `error` (fraction of samples), in the right one.
        size_name: name of the size, for the axis.
        num_samples: N, for the title.
        num_members: M of each ensemble, for the title.
    """
    panels = [("squared probability", [k for k in values if k != "error"])]
    panels += [("error (fraction of samples)", ["error"])] if "error" in values else []
    figure = Figure(figsize=(5.6 * len(panels), 4.4), layout="constrained")
    for (unit, names), axes in zip(panels, _row(figure, len(panels)), strict=True):
        for name in names:
            value, low, high = (np.asarray(part, dtype=float) for part in values[name])
            bars = np.nan_to_num(np.abs(np.stack([value - low, high - value])))
            marker, colour = SIZE_STYLES[name]
            axes.errorbar(
                sizes, value, yerr=bars, marker=marker, color=colour, capsize=3, lw=1.5, label=name
            )
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlim(min(sizes) / 1.5, max(sizes) * 1.5)
        axes.set_ylim(bottom=0)
        _finish(axes, f"{size_name} (log scale)", f"{unit}, mean (bars: 95%)")
    figure.suptitle(f"N = {num_samples}, M = {num_members} at each size", fontsize=10)
    return figure


def disagreement_over_error(
    pair_disagreement: Float[np.ndarray, "paired paired"],
    member_error: Float[np.ndarray, " paired"],
    *,
    num_samples: int,
    num_members: int,
) -> Figure:
    """Plots the disagreement of every pair of members over the mean of their error rates.

    Args:
        pair_disagreement: fraction of samples on which two members predict different classes.
        member_error: error rate of each of them.
        num_samples: N, for the title.
        num_members: M, for the title.
    """
    first, second = np.triu_indices(len(member_error), k=1)
    pairs = np.arange(len(first))
    if len(pairs) > PAIRS_SHOWN:
        pairs = np.random.default_rng(0).permutation(pairs)[:PAIRS_SHOWN]
    x = (member_error[first] + member_error[second])[pairs] / 2
    y = pair_disagreement[first, second][pairs]
    figure = Figure(figsize=(5.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    size = max(4.0, 26 - 5 * np.log10(max(len(pairs), 1)))
    axes.scatter(x, y, s=size, color=CORRECT, alpha=0.5, lw=0, rasterized=True, label="pair")
    if len(pairs):
        mean = (x.mean(), y.mean())
        axes.plot(*mean, "D", color=WRONG, ms=8, mec="white", clip_on=False, label="mean of pairs")
    both = np.concatenate([x, y, [0.0]])
    span = both.max() or 1.0
    low = max(0.0, min(x.min(initial=span), y.min(initial=span)) - 0.1 * span)
    axes.plot([low, 1.1 * span], [low, 1.1 * span], color=FIT, ls="--", lw=1, label="equality")
    axes.set_xlim(low, 1.1 * span)
    axes.set_ylim(low, 1.1 * span)
    axes.set_box_aspect(1)
    _finish(axes, "mean error of the two members (fraction of samples)", "disagreement (fraction)")
    every = num_members * (num_members - 1) // 2
    shown = "" if len(pairs) == every else f", {len(pairs):,} of them shown, chosen at random"
    title = f"N = {num_samples}, M = {num_members}, pairs: {every:,}{shown}"
    axes.set_title(title, fontsize=10)
    return figure


def curves_band(
    epoch: Num[np.ndarray, " epochs"], values: Mapping[str, Float[np.ndarray, "members epochs"]]
) -> Figure:
    """Plots training curves of all members: their mean, and the band that holds 80% of them.

    Args:
        epoch: of each point, counted from one.
        values: any of `train_loss` (nats) and `val_accuracy` (fraction), NaN where nothing was
            measured.
    """
    labels = {
        "train_loss": "training loss (nats)",
        "val_accuracy": "validation accuracy (fraction)",
    }
    figure = Figure(figsize=(5.6 * len(values), 4.2), layout="constrained")
    num_members = 0
    for (name, members), axes in zip(values.items(), _row(figure, len(values)), strict=True):
        measured = np.isfinite(members).any(axis=0)
        curves, at = members[:, measured], epoch[measured]
        num_members = max(num_members, len(members))
        low, high = np.nanquantile(curves, [0.1, 0.9], axis=0)
        axes.fill_between(at, low, high, color=CORRECT, alpha=0.25, lw=0, label="10% to 90%")
        mean = np.nanmean(curves, axis=0)
        axes.plot(at, mean, color=CORRECT, lw=1.6, marker=".", label="mean of members")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _finish(axes, "epoch", labels.get(name, name))
    figure.suptitle(f"M = {num_members}", fontsize=10)
    return figure


def member_figures(analysis: Analysis) -> dict[str, Figure]:
    """Plots the disagreement of members, by file name; needs two members."""
    figure = disagreement_over_error(
        analysis.pair_disagreement.numpy(),
        1 - analysis.member_accuracy.numpy()[analysis.paired.numpy()],
        num_samples=analysis.num_samples,
        num_members=analysis.num_members,
    )
    return {"disagreement": figure}


def _row(figure: Figure, number: int) -> Sequence[Axes]:
    return figure.subplots(1, number, squeeze=False)[0].tolist()


def _finish(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend(loc="best", fontsize=8)
    axes.grid(True, **GRID)
    axes.set_axisbelow(True)
