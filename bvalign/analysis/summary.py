"""Analysis of one ensemble's labelled predictions: per-sample statistics, fits and summaries."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.block_values import BlockValues, Plan, block_values
from bvalign.analysis.calibration import Calibration, calibrate, compare_means, temperature
from bvalign.analysis.collapse import Collapse, fit_collapse
from bvalign.analysis.collect import Range, collect, draw_positions, one_thread_each
from bvalign.analysis.decompositions import Column, NamedColumns, columns_of
from bvalign.analysis.given import Given
from bvalign.analysis.groups import MemberPart, Statistics, member_groups
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.sample_table import SampleTable, sample_table
from bvalign.analysis.slopes import (
    Alignment,
    DrawnBlock,
    LogErrors,
    check,
    curve,
    fit_logit_slope,
    ols,
    pool_noise,
    read_drawn,
    wrong_logit_skewness,
)

RATIO_QUANTILES = (0.5, 0.9, 0.99, 1.0)
LOSSES = {
    "squared": ("variance", "risk"),
    "cross_entropy": ("kl_variance", "kl_risk"),
    "zero_one": ("net_variance_01", "error_rate"),
}
"""Loss -> names of its variance and of its risk."""

DRAWN = 20_000
"""Most samples behind the shape of the noise, curves over M, `cross_half` and calibration."""

KEPT_NUMBERS = 2**22
"""Most logits, and most probabilities, that are kept: 32 MB each in float64."""


@dataclass(frozen=True, repr=False)
class Analysis(NamedColumns):
    """Numbers of one ensemble on one test set; prints as the main ones.

    Attributes:
        samples: the per-sample statistics; `analysis["bias_sq"]` is one column as an array.
        means: means over samples by name.
        weighted_means: those of the values with member weights; None without weights.
        accuracy: fraction of samples that the mean of all members gets right.
        mean_member_accuracy: mean over members of their accuracy.
        member_accuracy: accuracy of each member (members).
        pair_disagreement: fraction of samples on which two members differ (members, members).
        alignment: fits over the correct samples.
        calibration: of the mean probabilities.
        collapse: noise in the logits, and predictions of the neural-collapse model from it.
        num_classes: K.
        num_drawn: samples behind curves and `cross_half`.
        notes: lines that every reader of the results should see.
    """

    samples: SampleTable
    means: dict[str, Estimate]
    weighted_means: dict[str, Estimate] | None
    accuracy: Estimate
    mean_member_accuracy: Estimate
    member_accuracy: Float[Tensor, " members"]
    pair_disagreement: Float[Tensor, "members members"]
    alignment: Alignment
    calibration: Calibration
    collapse: Collapse
    num_classes: int
    num_drawn: int
    notes: tuple[str, ...] = ()

    @property
    def num_members(self) -> int:
        """Number of members M."""
        return len(self.member_accuracy)

    @property
    def num_samples(self) -> int:
        """Number of test samples N."""
        return len(self.samples.index)

    def columns(self) -> dict[str, Column]:
        """Per-sample statistics by name, as in samples.csv."""
        return self.samples.columns()

    def variance_share(self) -> dict[str, float]:
        """Fraction of the mean risk that is variance, for each loss; NaN where undefined.

        For the 0-1 loss it is the net variance, which can help and so be negative.
        """
        values = {
            name: math.nan if mean.value is None else mean.value
            for name, mean in self.means.items()
        }
        return {
            loss: math.nan if not values[whole] else values[part] / values[whole]
            for loss, (part, whole) in LOSSES.items()
        }

    def ratio_quantiles(self) -> dict[str, dict[str, float]]:
        """Quantiles of variance / bias_sq over all samples; plug-in ones are at most M - 1."""
        d = self.samples.decomposition
        ratios = {
            "plug_in": d.variance / d.bias_sq,
            "unbiased": d.variance_unbiased / d.bias_sq_unbiased,
        }
        return {name: _quantiles(ratio) for name, ratio in ratios.items()}

    def excess_quantiles(self) -> dict[str, dict[str, float]]:
        """Quantiles D of max(variance - bias_sq, 0): variance <= bias_sq + D for that fraction."""
        d = self.samples.decomposition
        excess = {
            "plug_in": d.variance - d.bias_sq,
            "unbiased": d.variance_unbiased - d.bias_sq_unbiased,
        }
        return {name: _quantiles(e.clamp(min=0)) for name, e in excess.items()}

    def __repr__(self) -> str:
        """Main numbers in words."""
        means, slope = self.means, self.alignment.logit_slope
        lines = [
            f"{self.num_members} members on {self.num_samples} samples: accuracy of a member "
            f"{self.mean_member_accuracy}, of the ensemble {self.accuracy}"
        ]
        if self.num_members == 1:
            lines.append("one member has no variance: means and accuracy only")
        lines.append(
            f"mean squared bias {means['bias_sq']}, variance {means['variance']} "
            f"({self.variance_share()['squared']:.0%} of the risk {means['risk']})"
        )
        lines.append(f"population slope {slope.slope}, offset {slope.offset}")
        if slope.flags:
            lines.append(f"do not quote them: {', '.join(slope.flags)}")
        lines.append(f"slope of these members (ols) {self.alignment.ols['slope']}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def analyze_blocks(
    ranges: Callable[[], Iterable[Range]],
    shape: tuple[int, int, int],
    given: Given,
    num_ranges: int,
    reduce: Callable[[Tensor], object] = lambda _: None,
) -> Analysis:
    """Analyses predictions that come as ranges of samples, each with all members.

    Args:
        ranges: begins a pass over the ranges of this process, each with labels; called twice.
        shape: numbers of members M, samples N and classes K.
        given: what is known of the samples beside the logits.
        num_ranges: over all processes.
        reduce: sums an array over processes, in place; does nothing for a single one.
    """
    num_members, num_samples, num_classes = shape
    groups = member_groups(num_members)
    places = {
        "samples": torch.arange(num_samples),
        "drawn": draw_positions(num_samples, DRAWN),
        "binned": draw_positions(num_samples, min(DRAWN, KEPT_NUMBERS // num_classes)),
        "chosen": draw_positions(num_samples, KEPT_NUMBERS // (num_members * num_classes)),
    }
    drawn = read_drawn(ranges, groups, places, num_ranges, reduce)
    with one_thread_each():
        noise = pool_noise(drawn.odds, groups, num_samples)
    plan = Plan(groups, places["binned"], places["chosen"], noise, given.member_weights)
    values = collect(ranges(), partial(block_values, plan=plan), num_ranges, places, reduce)
    with one_thread_each():
        alignment = _alignment(values, drawn, places["drawn"], plan, given.clusters)
        return _analysis(values, alignment, plan, given)


def _analysis(values: BlockValues, alignment: Alignment, plan: Plan, given: Given) -> Analysis:
    """Summarises the values of all samples."""
    number, clusters, groups = len(given.index), given.clusters, plan.groups
    members = MemberPart(Statistics._fields, values.left_out, number, clusters)
    table = sample_table(values, given.index, alignment.logit_slope, clusters)
    binned = None if clusters is None else clusters[plan.binned]
    calibration = Calibration(
        **calibrate(values.mean_probs, binned),
        **compare_means(
            values.gap, values.zero_one, values.decomposition, values.soft_error, members
        ),
        temperature=temperature(values.chosen_logits, values.chosen_target, groups),
    )
    weighted = None
    if values.weighted is not None:
        weighted = _means(columns_of(values.weighted), members, "weighted_")
    means = _means(table.averaged(), members)
    return Analysis(
        samples=table,
        means=means,
        weighted_means=weighted,
        accuracy=members.mean("correct", values.decomposition.correct.double(), proportion=True),
        mean_member_accuracy=_complement(means["error_rate"]),
        member_accuracy=values.hits.double() / number,
        pair_disagreement=values.pairs_that_differ.double() / number,
        alignment=alignment,
        calibration=calibration,
        collapse=fit_collapse(values.chosen_logits, values.chosen_target),
        num_classes=values.mean_probs.whole.shape[1],
        num_drawn=min(number, DRAWN),
        notes=given.notes,
    )


def _alignment(
    values: BlockValues,
    drawn: DrawnBlock,
    positions: Int[Tensor, " drawn"],
    plan: Plan,
    clusters: Int[Tensor, " samples"] | None,
) -> Alignment:
    """Fits of log variance on log bias_sq, in four ways."""
    correct, groups = values.decomposition.correct, plan.groups
    right = correct[plan.chosen]
    skewness = wrong_logit_skewness(values.chosen_logits[:, right], values.chosen_target[right])
    errors = None
    if values.logit is not None:
        errors = LogErrors(*(error[positions] for error in values.logit.errors))
    constant = int((correct & ~(values.decomposition.variance > 0)).sum())
    return Alignment(
        fit_logit_slope(values.logit, plan.noise, groups, skewness, clusters),
        ols(values.decomposition, values.log_errors, values.line, clusters),
        check(drawn.parts, sum(groups.sizes)),
        list(curve(drawn, plan.noise, errors, groups)),
        int(correct.sum()),
        {"zero variance": constant} if constant else {},
    )


def _means(
    columns: dict[str, Column], members: MemberPart, prefix: str = ""
) -> dict[str, Estimate]:
    return {
        name: members.mean(prefix + name, column.values, proportion=column.unit.proportion)
        for name, column in columns.items()
        if column.values.is_floating_point()
    }


def _complement(estimate: Estimate) -> Estimate:
    """1 - a proportion."""

    def turned(ends: tuple[float, float] | None) -> tuple[float, float] | None:
        return ends and (1 - ends[1], 1 - ends[0])

    return Estimate(1 - estimate.value, *(turned(ends) for ends in estimate[1:4]), *estimate[4:])


def _quantiles(values: Float[Tensor, " samples"]) -> dict[str, float]:
    """Quantiles of the finite values; NaN if there are none."""
    finite = values[values.isfinite()].numpy()
    if not len(finite):
        return {str(q): math.nan for q in RATIO_QUANTILES}
    return dict(
        zip(map(str, RATIO_QUANTILES), np.quantile(finite, RATIO_QUANTILES).tolist(), strict=True)
    )
