"""Errors of a sample's log bias_sq and log variance due to the random draw of members.

Both logarithms come from the same members, so their errors are correlated: LogErrors holds, per
sample, the squared standard errors of both and their covariance (natural logs, no unit).

delete_one_errors   jackknife: with t_m the logarithm of the plug-in value without member m,
                    SE² = (M-1)/M sum_m (t_m - mean t)²; M >= 3, as one member has no variance.
subset_errors       the same for unbiased values of many subsets at once. Each value without a
                    member is a difference of two sums over pairs, kept above 1e-15 of the whole,
                    because it cancels to nothing where one member carries everything.

First-order influences are no substitute: on Gaussian logit noise of scale 1 and 16 members they
estimate a fifth of the squared error of log variance, the jackknife 1.1 times it.

delete_one_errors sums over the remaining pairs (`pairs.py`): ‖S - r_m‖² as a difference returns
zero instead of 7e-25 where member m carries all of the residual. Neither detects that the logarithm
of a skewed value is also biased.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import softmax
from bvalign.analysis.slopes.pairs import Pairs, PairSums, pair_matrices

_LEFT = 1e-15  # rounding of a difference of two sums


class LogErrors(NamedTuple):
    """Squared standard errors of the logarithms, and their covariance; float64."""

    bias_sq: Float[Tensor, "*subsets samples"]
    variance: Float[Tensor, "*subsets samples"]
    covariance: Float[Tensor, "*subsets samples"]


def delete_one_errors(
    logits: Float[Tensor, "members samples classes"], target: Int[Tensor, " samples"]
) -> LogErrors:
    """Jackknifes log bias_sq and log variance over members, plug-in values.

    NaN where fewer than two distinct members are left after a deletion, as log 0 is undefined.
    Memory is about 24 samples members² bytes: pass blocks of samples.

    Raises:
        ValueError: there are fewer than three members.

    >>> logits = torch.tensor([3.0, 4.0, 5.0]).log().reshape(3, 1, 1) * torch.tensor([1.0, 0.0])
    >>> errors = delete_one_errors(logits, torch.tensor([0]))   # 1 - p_y: 1/4, 1/5, 1/6
    >>> t = torch.tensor([11 / 60, 5 / 24, 9 / 40]).double().log() * 2   # means of two, squared
    >>> torch.isclose(errors.bias_sq, 2 * t.var(correction=0)).item()
    True
    """
    num_members = len(logits)
    if num_members < 3:
        raise ValueError(
            f"standard errors need three members, got {num_members}; one left out must leave two"
        )
    products, distances = pair_matrices(softmax(logits), target)
    others = PairSums(~torch.eye(num_members, dtype=torch.bool, device=logits.device))
    left = num_members - 1
    variance = others(distances) / left**2
    bias_sq = (2 * others(products) / (left - 1) + variance * left / (left - 1)) / left
    x, y = (v.log() - v.log().mean(dim=0) for v in (bias_sq, variance))
    scale = left / num_members
    return LogErrors(*(scale * (a * b).sum(dim=0) for a, b in ((x, x), (y, y), (x, y))))


def subset_errors(
    products: Pairs, distances: Pairs, membership: Float[Tensor, "subsets members"]
) -> LogErrors:
    """Errors of log bias_sq_unbiased and log variance_unbiased of each subset.

    NaN for a subset of fewer than three members, and where its members do not differ.

    Args:
        products: of `pair_matrices`.
        distances: of `pair_matrices`.
        membership: 1 for the members of a subset, 0 for the others.
    """
    size = membership.sum(dim=1)
    errors = membership.new_full((3, len(membership), len(products)), torch.nan)
    with_others = [membership @ matrices for matrices in (products, distances)]
    for count in size[size > 2].unique().long().tolist():
        rows = torch.nonzero(size == count).flatten()
        members = membership[rows].nonzero()[:, 1].reshape(len(rows), count)
        x, y = (_centred_logs(sums[:, rows], members) for sums in with_others)
        sums = [(a * b).sum(dim=-1).T for a, b in ((x, x), (y, y), (x, y))]
        errors[:, rows] = (count - 1) / count * torch.stack(sums)
    return LogErrors(*errors)


def _centred_logs(
    with_others: Float[Tensor, "samples rows all"], members: Int[Tensor, "rows count"]
) -> Float[Tensor, "samples rows count"]:
    """Logs of sums over pairs without each member of a row, less their mean over the row."""
    with_others = with_others.gather(2, members.expand(len(with_others), -1, -1))
    total = with_others.sum(dim=-1, keepdim=True)
    left = torch.maximum(total - 2 * with_others, _LEFT * total).log_()
    return left.sub_(left.mean(dim=-1, keepdim=True))
