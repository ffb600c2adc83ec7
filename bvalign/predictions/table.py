"""Predictions of an ensemble as the analysis reads them: logits in blocks of samples."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BLOCK_BYTES = 2**24
"""Of float64 logits per block: large enough to keep the processor busy, small enough to cache."""


@dataclass(frozen=True)
class Predictions:
    """Logits of all members on all samples.

    Attributes:
        read: start, stop -> logits (members, stop - start, classes), any float type.
        target: int64 (samples).
        index: int64 (samples), rows of the data set, ascending.
        members: ids of the members, in the order of the leading axis.
        num_classes: K.
        class_names: one per class; empty if unknown.
        images: uint8 (samples, channels, height, width), or None.
        notes: lines that every reader of results must see.
    """

    read: Callable[[int, int], Tensor]
    target: np.ndarray
    index: np.ndarray
    members: tuple[int, ...]
    num_classes: int
    class_names: tuple[str, ...] = ()
    images: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def samples_per_block(self) -> int:
        return max(1, BLOCK_BYTES // (8 * len(self.members) * self.num_classes))

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits (members, block, classes) and labels (block) of successive samples.

        Raises:
            ValueError: logits that are NaN or inf, naming the member and how many samples.
        """
        target = torch.from_numpy(self.target)
        for start in range(0, len(target), self.samples_per_block):
            stop = min(start + self.samples_per_block, len(target))
            logits = self.read(start, stop)
            bad = (logits.isnan() | (logits == torch.inf)).any(dim=-1)
            if bad.any() or (logits == -torch.inf).all(dim=-1).any():
                self._refuse_non_finite()
            yield logits, target[start:stop]

    def _refuse_non_finite(self) -> None:
        """Counts over the whole table, so that the message names everything at once."""
        counts = np.zeros(len(self.members), dtype=np.int64)
        for start in range(0, len(self.target), self.samples_per_block):
            logits = self.read(start, min(start + self.samples_per_block, len(self.target)))
            counts += (~logits.isfinite()).any(dim=-1).sum(dim=1).numpy()
        named = ", ".join(
            f"member {member} ({count} of {len(self.target)} samples)"
            for member, count in zip(self.members, counts, strict=True)
            if count
        )
        raise ValueError(f"logits are NaN or inf: {named}; leave these members out")
