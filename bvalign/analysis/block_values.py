"""All values that one pass over the logits computes for a block of samples.

`collect.py` joins the blocks by the shapes of the fields: a field with a `samples` axis holds one
entry per sample, which goes to its place; a field without one is a sum over samples and adds up.
A field with a `Unit` is a finished statistic: a column of samples.csv, with its mean in
summary.json, both under the name of the field.
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
    """Per-sample values of `subset_values.SubsetValues`."""

    bias_sq_unbiased: Float[Tensor, "subsets samples"]
    variance_unbiased: Float[Tensor, "subsets samples"]
    correct: Bool[Tensor, "subsets samples"]
    log_errors: LogErrors


class BlockValues(NamedTuple):
    """Values of a block of samples or, once joined, of all samples."""

    hits: Float[Tensor, " members"]  # samples that each member gets right
    pairs_that_differ: Float[Tensor, "members members"]  # samples on which two members disagree
    target: Int[Tensor, " samples"]
    votes: Int[Tensor, "samples classes"]  # members that vote for each class
    moments: Moments
    uncertainty_sum: Float[Tensor, " samples"]
    cross_entropy: CrossEntropy
    subsets: SubsetBlock
    weighted: WeightedDecomposition | None  # None without weights


def block_values(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    *,
    plan: Design,
    member_weights: Sequence[float] | None = None,
) -> BlockValues:
    """Computes all values of a block.

    Args:
        logits: of all members.
        target: class ids.
        plan: the subsets of the members.
        member_weights: weight of each member in `weighted`, or None.
    """
    votes = logits.argmax(dim=-1)
    values = subset_values(logits, target, plan.sums, plan.error_rows)
    weighted = None
    if member_weights is not None:
        weighted = weighted_decompose(logits, target, torch.tensor(member_weights).double())
    return BlockValues(
        hits=(votes == target).sum(dim=1).double(),
        pairs_that_differ=pair_disagreement(votes).double(),
        target=target,
        votes=vote_counts(votes, logits.shape[-1]),
        moments=moments(logits, target),
        uncertainty_sum=uncertainty_sum(logits),
        cross_entropy=cross_entropy(logits, target),
        subsets=SubsetBlock(*values[:3], values.log_errors),
        weighted=weighted,
    )
