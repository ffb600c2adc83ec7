"""What an analysis is told of the samples and members beside the logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

KEPT_NUMBERS = 2**22
"""Most logits, and most probabilities, that are kept: 32 MB each in float64."""


@dataclass(frozen=True)
class Given:
    """What is known of the samples beside the logits.

    Attributes:
        index: rows of the data set (samples).
        notes: lines that every reader of the results should see.
        clusters: cluster of each sample, 0, 1, ... (samples); None if they are independent.
        member_weights: weight of each member in `weighted`, and only there.
        num_options: classes of each sample (samples), the first ones; None if all have K.
        num_unseen: of training samples, members that were not trained on each.
        num_kept: classes of which each member keeps the logits, of each sample; None for all.
    """

    index: Int[Tensor, " samples"]
    notes: tuple[str, ...] = ()
    clusters: Int[Tensor, " samples"] | None = None
    member_weights: Sequence[float] | None = None
    num_options: Int[Tensor, " samples"] | None = None
    num_unseen: Int[Tensor, " samples"] | None = None
    num_kept: int | None = None


class Kept(NamedTuple):
    """Logits that an analysis keeps: of all samples, or of a random subset of many."""

    positions: Int[Tensor, " kept"]  # ascending, among all samples
    logits: Float[Tensor, "members kept classes"]  # in the type of the predictions
    target: Int[Tensor, " kept"] | None
    clusters: Int[Tensor, " kept"] | None = None


class LeftOutValues(NamedTuple):
    """Statistics of single samples without each group of members, of all samples or of many."""

    positions: Int[Tensor, " compared"]  # ascending, among all samples
    values: Float[Tensor, "statistics groups compared"]  # in the order of `groups.OF_GROUPS`
