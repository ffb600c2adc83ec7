"""Values of ensembles of some of the members, on the drawn samples of a range."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.groups import (
    MemberGroups,
    MemberSums,
    bias_and_variance,
    is_correct,
    unite,
)
from bvalign.analysis.slopes.lines import LineSums, line_sums


class Parts(NamedTuple):
    """Three separate parts of the members, of each split; unbiased values."""

    bias_sq: Float[Tensor, "splits parts drawn"]
    variance: Float[Tensor, "splits parts drawn"]
    correct: Bool[Tensor, "splits parts drawn"]


class Smaller(NamedTuple):
    """Sums over the drawn samples of each smaller ensemble, and of all members (last); plug-in."""

    bias_sq: Float[Tensor, " ensembles"]
    variance: Float[Tensor, " ensembles"]
    error: Float[Tensor, " ensembles"]  # samples that the mean gets wrong
    line: LineSums  # log variance over log bias_sq of the correct samples


def parts(
    by_group: MemberSums,
    mean: Float[Tensor, "samples classes"],
    target: Int[Tensor, " samples"],
    groups: MemberGroups,
) -> Parts:
    """Values of the three parts.

    Args:
        by_group: sums over each group.
        mean: mean magnitude of all members.
        target: class ids.
        groups: of the members.
    """
    splits, three, number = groups.thirds.shape
    sums = unite(by_group, groups.thirds.reshape(-1, number))
    m = sums.odds.count
    variance = bias_and_variance(sums, mean)[1] * m / (m - 1)
    pairs = sums.odds.magnitude.square().sum(dim=-1) - sums.square
    values = (pairs / (m * (m - 1)), variance, is_correct(sums.odds, target))
    return Parts(*(value.reshape(splits, three, len(target)) for value in values))


def smaller(
    by_group: MemberSums,
    mean: Float[Tensor, "samples classes"],
    target: Int[Tensor, " samples"],
    groups: MemberGroups,
) -> Smaller:
    """Sums of the smaller ensembles; arguments as for `parts`."""
    everyone = torch.ones(1, groups.smaller.shape[1], dtype=torch.bool)
    sums = unite(by_group, torch.cat([groups.smaller, everyone]))
    bias_sq, variance = bias_and_variance(sums, mean)
    correct = is_correct(sums.odds, target)
    usable = correct & (bias_sq > 0) & (variance > 0)
    totals = (bias_sq, variance, (~correct).double())
    line = line_sums(bias_sq.log(), variance.log(), usable)
    return Smaller(*(total.sum(dim=1) for total in totals), line)
