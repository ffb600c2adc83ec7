"""Slopes of parts of the test set: each class, and each decade of bias_sq.

A single line may hide differing classes or a changing slope. Both fits are `split_half`, as the
decade of a sample must not come from the values that enter the slope: samples sorted by their own
noisy bias_sq look flat within a decade. Here the decade is that of the half of the members that
serves as the instrument. Decade k is 10^k <= bias_sq_unbiased < 10^(k+1).
"""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from bvalign.analysis.slopes.estimators import ESTIMATORS
from bvalign.analysis.slopes.intervals import Estimate, bootstrap_weights, estimate
from bvalign.analysis.slopes.member_subsets import Design, MemberSubset
from bvalign.analysis.slopes.subset_values import SubsetValues

ESTIMATOR = ESTIMATORS["split_half"]


class LocalSlope(NamedTuple):
    """Slope of one part, and its number of samples that the whole ensemble gets right."""

    samples: int
    slope: Estimate


def class_slopes(
    values: SubsetValues, target: Int[Tensor, " samples"], design: Design, seed: int = 0
) -> dict[int, LocalSlope]:
    """Fits one slope per class that occurs.

    Args:
        values: of `design.subsets` on all samples.
        target: class ids.
        design: the subsets, and which samples count as correct.
        seed: of the bootstrap over samples.
    """
    values, design = _split_half_only(values, design)
    slopes = {}
    for label in target.unique().tolist():
        part = design.select(values.of_samples(torch.nonzero(target == label).flatten()))
        slopes[label] = _local(part, design, seed)
    return slopes


def decade_slopes(values: SubsetValues, design: Design, seed: int = 0) -> dict[int, LocalSlope]:
    """Fits one slope per decade of bias_sq with correct samples; the key k stands for 10^k.

    Arguments as for `class_slopes`.
    """
    values, design = _split_half_only(design.select(values), design)
    positive = values.bias_sq_unbiased > 0
    exponent = torch.where(positive, values.bias_sq_unbiased, 1.0).log10().floor()
    whole = design.full.whole
    occurring = exponent[whole, values.correct[whole] & positive[whole]].unique()
    slopes = {}
    for decade in occurring.tolist():
        inside = values.correct & positive & (exponent == decade)
        some = torch.nonzero(inside.any(dim=0)).flatten()
        part = values._replace(correct=inside).of_samples(some)
        slopes[int(decade)] = _local(part, design, seed)
    return slopes


def _split_half_only(values: SubsetValues, design: Design) -> tuple[SubsetValues, Design]:
    """Keeps the subsets that `split_half` uses, 137 of 737 for 100 members, and their design."""
    number: dict[int, int] = {}

    def numbered(rows: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(number.setdefault(row, len(number)) for row in rows)

    def subset(old: MemberSubset) -> MemberSubset:
        (whole,) = numbered((old.whole,))
        clouds, halves = (tuple(map(numbered, pairs)) for pairs in (old.clouds, old.halves))
        return MemberSubset(whole, clouds, halves=halves)

    design = design._replace(full=subset(design.full), halves=tuple(map(subset, design.halves)))
    return values.of_rows(list(number)), design


def _local(values: SubsetValues, design: Design, seed: int) -> LocalSlope:
    replicate_weights = bootstrap_weights(values.correct.shape[1], seed)
    slope = estimate(ESTIMATOR, values, design, replicate_weights)["slope"]
    return LocalSlope(int(values.correct[design.full.whole].sum()), slope)
