"""Bias and variance of many subsets of the members, from one table of pairs of members.

For a sample with residuals r_m = p_m - e_y, every unbiased statistic of a set S of m members is a
sum over pairs of its members, and all terms are positive, so nothing cancels:

    bias_sq_unbiased(S)  = sum_{i != j in S} <r_i, r_j>      / (m (m-1))
    variance_unbiased(S) = sum_{i <  j in S} ‖p_i - p_j‖²    / (m (m-1))

and the plug-in values follow: bias_sq = bias_sq_unbiased + variance_unbiased / m, and
variance = (m-1)/m variance_unbiased. One pass over the logits thus serves the split halves, the
half-samples and the curve over the number of members together.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.statistics import residual, softmax


class SubsetValues(NamedTuple):
    """Per-sample values of several subsets of members, squared probability, float64."""

    bias_sq_unbiased: Float[Tensor, "subsets samples"]
    variance_unbiased: Float[Tensor, "subsets samples"]
    correct: Bool[Tensor, "subsets samples"]  # by the argmax of the subset's mean probabilities
    size: Float[Tensor, " subsets"]  # members in the subset

    def bias_sq(self, subset: int) -> Float[Tensor, " samples"]:
        """Plug-in squared bias of one subset."""
        return self.bias_sq_unbiased[subset] + self.variance_unbiased[subset] / self.size[subset]

    def variance(self, subset: int) -> Float[Tensor, " samples"]:
        """Plug-in variance of one subset."""
        size = self.size[subset]
        return self.variance_unbiased[subset] * (size - 1) / size


def subset_values(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    subsets: Bool[Tensor, "subsets members"],
) -> SubsetValues:
    """Values of every subset; NaN for a subset of one member.

    Memory is about 24 samples members² bytes: pass blocks of samples.
    """
    probs = softmax(logits)
    at_label = residual(probs, target).transpose(0, 1)
    at_mean = residual(probs, probs.sum(dim=0).argmax(dim=-1)).transpose(0, 1).contiguous()
    distances = torch.cdist(at_mean, at_mean, compute_mode="donot_use_mm_for_euclid_dist").square_()
    i, j = torch.triu_indices(len(logits), len(logits), offset=1)
    products = (at_label @ at_label.mT)[:, i, j]
    weight = subsets.double()
    both = weight[:, i] * weight[:, j]  # whether a subset has both members of a pair
    size = weight.sum(dim=1)
    pairs = torch.where(size > 1, size * (size - 1) / 2, torch.nan).unsqueeze(1)
    mean = torch.einsum("sm,mnk->snk", weight, probs)
    return SubsetValues(
        bias_sq_unbiased=both @ products.T / pairs,
        variance_unbiased=both @ distances[:, i, j].T / 2 / pairs,
        correct=mean.argmax(dim=-1) == target,
        size=size,
    )


def concatenate(blocks: Sequence[SubsetValues]) -> SubsetValues:
    """Joins blocks of samples."""
    per_sample = [torch.cat(parts, dim=1) for parts in zip(*(b[:3] for b in blocks), strict=True)]
    return SubsetValues(*per_sample, size=blocks[0].size)
