"""Everything that one pass over the logits computes of a block of samples.

`collect.py` joins the blocks by the shapes of the fields: a field with a `samples` axis holds an
entry per sample and goes to its place, a field without one is a sum over samples and is added up.
A field with a `Unit` is a finished statistic; `sample_table.py` makes it a column of samples.csv,
and its mean stands in summary.json, under the name of the field.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.calibration import pair_disagreement, uncertainty_sum
from bvalign.analysis.decompositions import (
    CrossEntropy,
    Moments,
    WeightedDecomposition,
    cross_entropy,
    moments,
    vote_counts,
    weighted_decompose,
)
from bvalign.analysis.slopes import Design, LogErrors, subset_values


class SubsetBlock(NamedTuple):
    """The per-sample values of `subsets.SubsetValues`."""

    bias_sq_unbiased: Float[Tensor, "subsets samples"]
    variance_unbiased: Float[Tensor, "subsets samples"]
    correct: Bool[Tensor, "subsets samples"]
    log_errors: LogErrors


class BlockValues(NamedTuple):
    """Results of a block of samples, and of all of them once joined."""

    hits: Float[Tensor, " members"]  # samples that a member gets right
    pairs_that_differ: Float[Tensor, "members members"]  # samples at which two members disagree
    target: Int[Tensor, " samples"]
    votes: Int[Tensor, "samples classes"]  # members that vote for a class
    moments: Moments
    uncertainty_sum: Float[Tensor, " samples"]
    cross_entropy: CrossEntropy
    subsets: SubsetBlock
    weighted: WeightedDecomposition | None  # None where all members count alike


def block_values(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    *,
    plan: Design,
    member_weights: Sequence[float] | None = None,
) -> BlockValues:
    """Computes all of it.

    Args:
        logits: of all members.
        target: labels.
        plan: the subsets of the members.
        member_weights: how often each member counts in `weighted`, or None.
    """
    votes = logits.argmax(dim=-1)
    values = subset_values(logits, target, plan.sums, plan.error_rows)
    weights = None if member_weights is None else torch.tensor(member_weights).double()
    return BlockValues(
        hits=(votes == target).sum(dim=1).double(),
        pairs_that_differ=pair_disagreement(votes).double(),
        target=target,
        votes=vote_counts(votes, logits.shape[-1]),
        moments=moments(logits, target),
        uncertainty_sum=uncertainty_sum(logits),
        cross_entropy=cross_entropy(logits, target),
        subsets=SubsetBlock(*values[:3], values.log_errors),
        weighted=None if weights is None else weighted_decompose(logits, target, weights),
    )
