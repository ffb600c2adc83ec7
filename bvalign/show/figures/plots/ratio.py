"""The histogram of variance over squared bias."""

import numpy as np
from jaxtyping import Bool, Float, Num

from bvalign.analysis.intervals import exponential
from bvalign.analysis.summary import Analysis
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.plots.words import size, warning
from bvalign.show.figures.samples import ratio_bins, ratio_histogram, usable_ratios
from bvalign.show.rounding import quoted


def ratio_plot(analysis: Analysis) -> Plot:
    """Describes the ratio of variance to squared bias, sample by sample."""
    decomposition = analysis.table.decomposition
    ratio = (decomposition.variance / decomposition.bias_sq).numpy()
    usable, correct = usable_ratios(ratio), analysis["correct"]
    population = analysis.alignment.logit_slope
    mean, members = exponential(population.offset), analysis.num_members
    bounded, hidden = not analysis.soft_labels, int((~usable).sum())
    caption = "The ratio of variance to squared bias of these members, sample by sample, stacked."
    if bounded:
        caption += f" No ensemble of M members can exceed M − 1 = {members - 1}."
    else:
        caption += (
            " Labels are soft, so that members who agree with them on average can exceed M − 1."
        )
    if mean.value is not None:
        caption += (
            " Green: its geometric mean over the correct samples at infinitely many members, "
            f"{quoted(mean)}.{warning(population.flags)}"
        )
    if hidden:
        caption += f" {hidden:,} samples are not shown, as the ratio is zero or undefined."
    caption += f" {size(analysis.num_samples, members)}"
    return Plot(
        lambda: ratio_histogram(
            ratio, correct, mean, num_members=members, flags=population.flags, bounded=bounded
        ),
        caption,
        _alt(ratio[usable]),
        _bars(ratio, usable, correct, members),
    )


def _alt(ratio: Float[np.ndarray, " usable"]) -> str:
    if not len(ratio):
        return "An empty histogram: no sample has a ratio of variance to squared bias."
    low, middle, high = np.quantile(ratio, [0.05, 0.5, 0.95])
    return (
        f"Histogram with a logarithmic axis of {len(ratio):,} ratios. Their median is {middle:.2g}"
        f", and 90% lie between {low:.2g} and {high:.2g}; {np.mean(ratio > 1):.0%} are above one, "
        "where variance exceeds squared bias."
    )


def _bars(
    ratio: Float[np.ndarray, " samples"],
    usable: Bool[np.ndarray, " samples"],
    correct: Bool[np.ndarray, " samples"],
    num_members: int,
) -> dict[str, Num[np.ndarray, " bars"]]:
    """Edges and heights of the bars."""
    if not usable.any():
        return {name: np.array([]) for name in ("low", "high", "correct", "wrong")}
    edges = ratio_bins(ratio, num_members)
    heights = [np.histogram(ratio[usable & kind], edges)[0] for kind in (correct, ~correct)]
    return dict(
        zip(("low", "high", "correct", "wrong"), (edges[:-1], edges[1:], *heights), strict=True)
    )
