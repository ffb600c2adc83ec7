"""The figures beside the scatter: slopes over the number of members, the ratio."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from bvalign.show.scatter import BOUND, CORRECT, FIT, WRONG


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
        "split_half": ("v", "#CC79A7"),
    }
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for name, rows in curves.items():
        marker, colour = styles.get(name, ("d", FIT))
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
