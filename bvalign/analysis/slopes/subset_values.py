"""Bias and variance of many subsets of the members, from sums over pairs of members.

For a sample with residuals r_m = p_m - e_y, every unbiased statistic of a set S of m members is a
sum over pairs of its members, and all terms are positive, so nothing cancels:

    bias_sq_unbiased(S)  = sum_{i != j in S} <r_i, r_j>      / (m (m-1))
    variance_unbiased(S) = sum_{i <  j in S} ‖p_i - p_j‖²    / (m (m-1))

and the plug-in values follow: bias_sq = bias_sq_unbiased + variance_unbiased / m, and
variance = (m-1)/m variance_unbiased. One pass over the logits thus serves the split halves, the
half-samples and the curve over the number of members. Some subsets also get errors of their
logarithms (`jackknife.py`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import softmax
from bvalign.analysis.slopes.jackknife import LogErrors, subset_errors
from bvalign.analysis.slopes.pairs import PairSums, pair_matrices


class SubsetValues(NamedTuple):
    """Per-sample values of several subsets of members, squared probability, float64."""

    bias_sq_unbiased: Float[Tensor, "subsets samples"]
    variance_unbiased: Float[Tensor, "subsets samples"]
    correct: Bool[Tensor, "subsets samples"]  # by the argmax of the subset's mean probabilities
    size: Float[Tensor, " subsets"]  # members in the subset
    log_errors: LogErrors  # of the rows `error_rows`: (error_rows, samples)
    error_rows: tuple[int, ...]

    def bias_sq(self, subset: int) -> Float[Tensor, " samples"]:
        """Plug-in squared bias of one subset."""
        return self.bias_sq_unbiased[subset] + self.variance_unbiased[subset] / self.size[subset]

    def variance(self, subset: int) -> Float[Tensor, " samples"]:
        """Plug-in variance of one subset."""
        size = self.size[subset]
        return self.variance_unbiased[subset] * (size - 1) / size

    def errors(self, subset: int) -> LogErrors:
        """Errors of log bias_sq_unbiased and log variance_unbiased of one of `error_rows`."""
        row = self.error_rows.index(subset)
        return LogErrors(*(error[row] for error in self.log_errors))

    def of_rows(self, rows: list[int]) -> "SubsetValues":
        """Values of some subsets only, without errors."""
        errors = LogErrors(*(error[:0] for error in self.log_errors))
        return SubsetValues(*(value[rows] for value in self[:4]), errors, ())

    def of_samples(self, samples: Int[Tensor, " some"]) -> "SubsetValues":
        """Values of some samples only."""
        values = [value[:, samples] for value in self[:3]]
        errors = LogErrors(*(error[:, samples] for error in self.log_errors))
        return SubsetValues(*values, self.size, errors, self.error_rows)


def subset_values(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    sums: PairSums,
    error_rows: tuple[int, ...] = (),
) -> SubsetValues:
    """Values of every subset of `sums`, and errors of some; NaN for a subset of one member.

    Memory is about 24 samples members² bytes: pass blocks of samples.
    """
    probs = softmax(logits)
    products, distances = pair_matrices(probs, target)
    membership = sums.subsets.double()
    size = membership.sum(dim=1)
    num_pairs = torch.where(size > 1, size * (size - 1) / 2, torch.nan).unsqueeze(1)
    sums_of_probs = (torch.einsum("sm,mnk->snk", rows, probs) for rows in membership.split(64))
    return SubsetValues(
        bias_sq_unbiased=sums(products) / num_pairs,
        variance_unbiased=sums(distances) / 2 / num_pairs,
        correct=torch.cat([total.argmax(dim=-1) == target for total in sums_of_probs]),
        size=size,
        log_errors=subset_errors(products, distances, membership[list(error_rows)]),
        error_rows=error_rows,
    )


def concatenate(blocks: Sequence[SubsetValues]) -> SubsetValues:
    """Joins blocks of samples."""
    per_sample = [torch.cat(parts, dim=1) for parts in zip(*(b[:3] for b in blocks), strict=True)]
    errors = zip(*(b.log_errors for b in blocks), strict=True)
    log_errors = LogErrors(*(torch.cat(parts, dim=1) for parts in errors))
    return SubsetValues(*per_sample, blocks[0].size, log_errors, blocks[0].error_rows)
