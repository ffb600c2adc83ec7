"""Figures of members rather than samples: their pairs and curves."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int, Num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bvalign.show.figures.layout import finish, legend_below, lettered, panels
from bvalign.show.figures.points import MOST_VECTORS, point_area
from bvalign.show.figures.style import CORRECT, FIT, HALO, WRONG
from bvalign.show.quantities import title

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
    sizes: Sequence[int | float], values: Mapping[str, Interval], *, size_name: str
) -> Figure:
    """Plots risk, squared bias, variance and error rate over the size of the network or data.

    Args:
        sizes: width, depth, parameters or examples, positive.
        values: any of `risk`, `bias_sq`, `variance` (squared probability), in the left panel, and
            `error` (fraction of samples), in the right one.
        size_name: name of the size, for the axis.
    """
    parts = [("squared probability", [k for k in values if k != "error"])]
    parts += [("error (fraction of samples)", ["error"])] if "error" in values else []
    figure, grid = panels(len(parts), 0.75)
    for (unit, names), axes in zip(parts, grid, strict=True):
        for name in names:
            value, low, high = (np.asarray(part, dtype=float) for part in values[name])
            bars = np.nan_to_num(np.abs(np.stack([value - low, high - value])))
            marker, colour = SIZE_STYLES[name]
            style = {"marker": marker, "color": colour, "capsize": 3, "label": title(name)}
            axes.errorbar(sizes, value, yerr=bars, **style)
        axes.set_xscale("log")
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlim(min(sizes) / 1.5, max(sizes) * 1.5)
        axes.set_ylim(bottom=0)
        finish(axes, f"{size_name} (log scale)", f"{unit}, mean (bars: 95%)")
    lettered(grid)
    legend_below(figure)
    return figure


def shown_pairs(num_paired: int) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """First and second member of the pairs that a figure shows: all, or PAIRS_SHOWN at random.

    Args:
        num_paired: members that are compared in pairs.
    """
    first, second = np.triu_indices(num_paired, k=1)
    if len(first) <= PAIRS_SHOWN:
        return first, second
    kept = np.random.default_rng(0).permutation(len(first))[:PAIRS_SHOWN]
    return first[kept], second[kept]


def disagreement_over_error(
    pair_disagreement: Float[np.ndarray, "paired paired"],
    member_error: Float[np.ndarray, " paired"],
) -> Figure:
    """Plots the disagreement of pairs of members over the mean of their error rates.

    Args:
        pair_disagreement: fraction of samples on which two members predict different classes.
        member_error: error rate of each of them.
    """
    first, second = shown_pairs(len(member_error))
    x = (member_error[first] + member_error[second]) / 2
    y = pair_disagreement[first, second]
    figure, (axes,) = panels(1, 1.0)
    axes.scatter(
        x,
        y,
        s=1.6 * point_area(len(x)),
        color=CORRECT,
        alpha=0.5,
        lw=0,
        rasterized=len(x) > MOST_VECTORS,
    )
    axes.plot([], [], "o", color=CORRECT, label="pair of members")
    if len(x):
        size = 2 * mpl.rcParams["lines.markersize"]
        style = {"color": WRONG, "ms": size, "mec": HALO, "clip_on": False}
        axes.plot(x.mean(), y.mean(), "D", label="mean of pairs", **style)
    both = np.concatenate([x, y, [0.0]])
    span = both.max() or 1.0
    low = max(0.0, min(x.min(initial=span), y.min(initial=span)) - 0.1 * span)
    axes.plot([low, 1.1 * span], [low, 1.1 * span], color=FIT, ls="--", label="equality")
    axes.set_xlim(low, 1.1 * span)
    axes.set_ylim(low, 1.1 * span)
    axes.set_box_aspect(1)
    finish(axes, "mean error of the two members (fraction)", "disagreement (fraction)")
    legend_below(figure)
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
        "train_loss": "training loss\n(nats)",
        "val_accuracy": "validation accuracy\n(fraction)",
    }
    figure, grid = panels(len(values), 0.75)
    for (name, members), axes in zip(values.items(), grid, strict=True):
        measured = np.isfinite(members).any(axis=0)
        curves, at = members[:, measured], epoch[measured]
        low, high = np.nanquantile(curves, [0.1, 0.9], axis=0)
        text = f"80% of {len(members)} members"
        axes.fill_between(at, low, high, color=CORRECT, alpha=0.25, lw=0, label=text)
        mean = np.nanmean(curves, axis=0)
        axes.plot(at, mean, color=CORRECT, marker=".", label="mean of members")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        finish(axes, "epoch", labels.get(name, name))
    legend_below(figure)
    return figure
