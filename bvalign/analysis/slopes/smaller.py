"""Values of ensembles of some of the members, on the drawn samples of a range."""

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from bvalign.analysis.groups import (
    MemberGroups,
    MemberSums,
    Residuals,
    SetValues,
    set_values,
    unite,
)
from bvalign.analysis.slopes.lines import LineSums, has_logs, line_sums


class Parts(NamedTuple):
    """Three separate parts of the members, of each split; unbiased values."""

    bias_sq: Float[Tensor, "splits parts drawn"]
    variance: Float[Tensor, "splits parts drawn"]
    correct: Bool[Tensor, "splits parts drawn"]


class Smaller(NamedTuple):
    """Sums over the drawn samples of each smaller ensemble; plug-in values."""

    bias_sq: Float[Tensor, " ensembles"]
    variance: Float[Tensor, " ensembles"]
    error: Float[Tensor, " ensembles"]  # samples that the mean gets wrong
    line: LineSums  # log variance over log bias_sq of the correct samples


def parts(by_group: MemberSums, given: Residuals, groups: MemberGroups) -> Parts:
    """Values of the three parts.

    Args:
        by_group: sums over each group.
        given: residuals of all members.
        groups: of the members.
    """
    splits, three, number = groups.thirds.shape
    values = set_values(unite(by_group, groups.thirds.reshape(-1, number)), given)
    m = values.sums.count
    pairs = (values.square_of_sum - values.sums.square) / (m * (m - 1))
    found = (pairs, values.variance * m / (m - 1), values.correct)
    return Parts(*(value.reshape(splits, three, len(given.target)) for value in found))


def smaller(values: SetValues) -> Smaller:
    """Sums of the smaller ensembles, from their values."""
    bias_sq, variance, correct = values.bias_sq, values.variance, values.correct
    usable = correct & has_logs(bias_sq, variance)
    totals = (bias_sq, variance, (~correct).double())
    line = line_sums(bias_sq.log(), variance.log(), usable)
    return Smaller(*(total.sum(dim=1) for total in totals), line)
