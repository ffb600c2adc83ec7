"""Predictions of an ensemble as the analysis reads them: logits in blocks of samples."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

BLOCK_BYTES = 2**21
"""Of float64 logits per block: large enough to keep the processor busy, small enough to cache."""


@dataclass(frozen=True)
class Predictions:
    """Logits of all members on all samples.

    Attributes:
        read: start, stop -> logits (members, stop - start, classes), any float type.
        target: int64 (samples), or None where there are no labels.
        index: int64 (samples), rows of the data set, ascending.
        members: ids or names of the members, in the order of the leading axis.
        num_classes: K.
        class_names: one per class; empty if unknown.
        images: uint8 (samples, channels, height, width), or None.
        texts: what a reader is shown of each sample where it is no image, or None.
        weights: how often each member counts, or None where all count alike.
        notes: lines that every reader of results must see.
    """

    read: Callable[[int, int], Tensor]
    target: np.ndarray | None
    index: np.ndarray
    members: tuple[int | str, ...]
    num_classes: int
    class_names: tuple[str, ...] = ()
    images: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    texts: tuple[str, ...] | None = None
    weights: tuple[float, ...] | None = None

    @property
    def num_samples(self) -> int:
        return len(self.index)

    @property
    def samples_per_block(self) -> int:
        return samples_per_block(len(self.members), self.num_classes)

    def blocks(
        self, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Logits (members, block, classes) and labels (block), if any, of successive samples.

        Args:
            start: first sample.
            stop: end of the samples; all by default.

        Raises:
            ValueError: logits that are NaN or inf, naming the member and how many samples.
        """
        target = None if self.target is None else torch.from_numpy(self.target)
        stop = self.num_samples if stop is None else stop
        for low in range(start, stop, self.samples_per_block):
            high = min(low + self.samples_per_block, stop)
            logits = self.read(low, high)
            if _unusable(logits).any():
                self._refuse_non_finite()
            yield logits, None if target is None else target[low:high]

    def _refuse_non_finite(self) -> None:
        """Counts over the whole table, so that the message names everything at once."""
        counts = torch.zeros(len(self.members), dtype=torch.int64)
        for start in range(0, self.num_samples, self.samples_per_block):
            logits = self.read(start, min(start + self.samples_per_block, self.num_samples))
            counts += _unusable(logits).sum(dim=1)
        named = name_members(self.members, counts, self.num_samples)
        raise ValueError(f"logits are NaN or inf: {named}; leave these members out")


def without_copies(predictions: Predictions) -> Predictions:
    """Leaves out members that repeat another bit by bit, which would count as no variance."""
    originals = _originals(predictions)
    kept = [place for place, original in enumerate(originals) if place == original]
    if len(kept) == len(originals):
        return predictions
    names = predictions.members
    copies = ", ".join(
        f"member {names[place]} of {names[original]}"
        for place, original in enumerate(originals)
        if place != original
    )
    weights = predictions.weights
    if weights is not None:  # a copy is its original once more
        weights = np.bincount(originals, weights=weights)[kept]
    return replace(
        predictions,
        weights=None if weights is None else tuple(weights.tolist()),
        read=lambda start, stop: predictions.read(start, stop)[kept],
        members=tuple(names[place] for place in kept),
        notes=(*predictions.notes, f"left out, exact copies: {copies}"),
    )


def samples_per_block(num_members: int, num_classes: int) -> int:
    """How many samples fill `BLOCK_BYTES`."""
    return max(1, BLOCK_BYTES // (8 * num_members * num_classes))


def name_members(members: Sequence[int | str], counts: Tensor, num_samples: int) -> str:
    """Members with a count above zero, each with it."""
    return ", ".join(
        f"member {member} ({count} of {num_samples} samples)"
        for member, count in zip(members, counts.tolist(), strict=True)
        if count
    )


def _originals(predictions: Predictions) -> list[int]:
    """For each member the first one with the same logits; reads until all are known to differ."""
    originals = [0] * len(predictions.members)
    for start in range(0, predictions.num_samples, predictions.samples_per_block):
        stop = min(start + predictions.samples_per_block, predictions.num_samples)
        logits = predictions.read(start, stop).contiguous().view(torch.uint8).numpy()
        first: dict[tuple[int, bytes], int] = {}
        originals = [
            first.setdefault((original, logits[place].tobytes()), place)
            for place, original in enumerate(originals)
        ]
        if len(first) == len(originals):
            break
    return originals


def _unusable(logits: Tensor) -> Tensor:
    """Where a softmax is undefined (members, block); some classes at minus infinity are fine."""
    return ~logits.amax(dim=-1).isfinite()  # NaN if one is; -inf if all are
