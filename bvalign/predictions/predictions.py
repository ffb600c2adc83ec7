"""Predictions of an ensemble as the analysis reads them: logits in ranges of samples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int64, UInt8
from torch import Tensor

from bvalign.top_k import TopK

RANGE_BYTES = 2**21
"""Bytes of float64 logits per range: enough to keep the processor busy, few enough to cache."""


class Groups(NamedTuple):
    """Subgroups of the samples by one column, such as the hospitals they come from."""

    names: tuple[str, ...]  # of the groups
    numbers: Int64[np.ndarray, " samples"]  # the place of each sample's group among them


@dataclass(frozen=True)
class Predictions:
    """Logits of all members on all samples.

    Attributes:
        read: (start, stop) -> logits of these samples, of any floating-point type.
        target: class ids, or None without labels.
        index: rows of the data set, ascending.
        members: ids or names of the members, in the order of the leading axis.
        num_classes: K.
        class_names: one per class; empty if unknown.
        images: the samples as the report shows them, or None.
        notes: remarks that everybody who uses the results must see.
        texts: the samples as the report shows them where they are text, or None.
        weights: member weights, how often each member counts; None where all count once.
        clusters: number of each sample's cluster, 0, 1, ... in the order in which they first
            appear; None where samples are independent.
        groups: subgroups of the samples to compare, by the name of the column that tells them.
        num_options: how many classes each sample has, the first ones; None where all have K. The
            others have a logit of -inf.
        soft_labels: float64 distributions of the labels (samples, classes), rows sum to one, whose
            argmax (the lowest class on ties) is the target; None where labels are class ids.
        answers: of people behind each soft label; None where the distribution itself is known.
        unlabelled: the samples that have no label, where some have one; None otherwise.
        num_unseen: of training samples, how many members have not seen each, of which a fixed
            number judges it; None of other samples.
        sample_names: of samples that have names, not numbers, in the source; None otherwise.
        source: of which messages say what is wrong; empty if it has no name.
        kept: (start, stop) -> the logits that are kept of these samples, which `read` completes;
            None where those of all classes are.
    """

    read: Callable[[int, int], Float[Tensor, "members block classes"]]
    target: Int64[np.ndarray, " samples"] | None
    index: Int64[np.ndarray, " samples"]
    members: tuple[int | str, ...]
    num_classes: int
    class_names: tuple[str, ...] = ()
    images: UInt8[np.ndarray, "samples channels height width"] | None = None
    notes: tuple[str, ...] = ()
    texts: tuple[str, ...] | None = None
    weights: tuple[float, ...] | None = None
    clusters: Int64[np.ndarray, " samples"] | None = None
    num_options: Int64[np.ndarray, " samples"] | None = None
    soft_labels: Float64[np.ndarray, "samples classes"] | None = None
    answers: Int64[np.ndarray, " samples"] | None = None
    groups: Mapping[str, Groups] = field(default_factory=dict)
    unlabelled: "Predictions | None" = None
    num_unseen: Int64[np.ndarray, " samples"] | None = None
    sample_names: tuple[str, ...] | None = None
    source: str = ""
    kept: Callable[[int, int], TopK] | None = None

    @property
    def num_samples(self) -> int:
        return len(self.index)

    @property
    def samples_per_range(self) -> int:
        return samples_per_range(len(self.members), self.num_classes)

    @property
    def num_ranges(self) -> int:
        """Ranges of samples that the analysis reads and adds up one by one."""
        return -(-self.num_samples // self.samples_per_range)

    def range(
        self, number: int
    ) -> tuple[int, Float[Tensor, "members samples classes"], Int[Tensor, " samples"] | None]:
        """Reads one range of samples.

        Args:
            number: from 0 to num_ranges - 1.

        Returns:
            Its first sample, the logits, and the labels if there are any.

        Raises:
            ValueError: logits are NaN or inf; the message names the members and counts samples.
        """
        low = number * self.samples_per_range
        high = min(low + self.samples_per_range, self.num_samples)
        logits = self.read(low, high)
        if _undefined(logits).any():
            self._refuse_non_finite()
        return low, logits, None if self.target is None else torch.from_numpy(self.target[low:high])

    def ranges(
        self,
    ) -> Iterator[tuple[Float[Tensor, "members samples classes"], Int[Tensor, " samples"] | None]]:
        """Yields the logits and, if there are any, the labels of all ranges; raises as `range`."""
        for number in range(self.num_ranges):
            yield self.range(number)[1:]

    def _refuse_non_finite(self) -> None:
        """Raises the error, with counts over all samples, so that it names every such member."""
        counts = torch.zeros(len(self.members), dtype=torch.int64)
        for start in range(0, self.num_samples, self.samples_per_range):
            logits = self.read(start, min(start + self.samples_per_range, self.num_samples))
            counts += _undefined(logits).sum(dim=1)
        named = name_members(self.members, counts, self.num_samples)
        where = self.source and f"{self.source}: "
        raise ValueError(f"{where}logits are NaN or inf: {named}; leave these members out")


def samples_per_range(num_members: int, num_classes: int) -> int:
    """Number of samples that fill `RANGE_BYTES`, at least one."""
    return max(1, RANGE_BYTES // (8 * num_members * num_classes))


def name_members(
    members: Sequence[int | str], counts: Int[Tensor, " members"], num_samples: int
) -> str:
    """Lists the members whose count is above zero, each with its count."""
    return ", ".join(
        f"member {member} ({count} of {num_samples} samples)"
        for member, count in zip(members, counts.tolist(), strict=True)
        if count
    )


def _undefined(logits: Float[Tensor, "members block classes"]) -> Bool[Tensor, "members block"]:
    """Marks where the softmax is undefined; some classes at minus infinity are fine."""
    if logits.sum(dtype=torch.float64).isfinite():
        return torch.zeros(logits.shape[:2], dtype=torch.bool)  # one sum, no maximum of each row
    return ~logits.amax(dim=-1).isfinite()  # NaN if one is; -inf if all are
