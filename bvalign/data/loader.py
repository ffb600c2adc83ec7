"""Batches of a data set that lies whole on the training device.

Training batches have a leading member axis, because every member visits the samples in its own
order and augments them in its own way; evaluation batches are the same for all members. Indexing
and augmentation are one gather for all members of a pack, so no worker processes are needed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bvalign.randomness import Streams

Batch = tuple[Tensor, Tensor, Tensor]
"""(input, target, index): float32 (..., batch, channels, height, width), int64 (..., batch) twice;
index is the row in the data set, and `...` is the member axis in training and nothing else."""


class Resident(NamedTuple):
    """One split on one device."""

    images: Tensor  # uint8 (samples, channels, height, width), or token ids (samples, words)
    target: Tensor  # int64 (samples), or (members, samples) where members have labels of their own


class Augmentation(NamedTuple):
    """Random crop after zero padding and random horizontal flip; (0, False) does nothing.

    Args:
        padding: pixels added on each side before a crop of the original size.
        flip: mirror left and right with probability one half.
    """

    padding: int = 0
    flip: bool = False

    def __call__(self, images: Tensor, draws: np.ndarray) -> Tensor:
        """Augments uint8 images (batch, C, H, W) by uniform draws in [0, 1), shape (batch, 3)."""
        if self == Augmentation():
            return images
        batch, channels, height, width = images.shape
        padded = torch.nn.functional.pad(images, (self.padding,) * 4)
        offset = np.floor(draws[:, :2] * (2 * self.padding + 1)).astype(np.int64)
        rows = offset[:, :1] + np.arange(height)
        columns = offset[:, 1:] + np.arange(width)
        if self.flip:
            columns = np.where(draws[:, 2:] < 0.5, columns[:, ::-1], columns)
        flat = rows[:, :, None] * padded.shape[-1] + columns[:, None, :]
        index = torch.from_numpy(flat.reshape(batch, 1, height * width)).to(images.device)
        picked = padded.flatten(2).gather(2, index.expand(-1, channels, -1))
        return picked.view(batch, channels, height, width)


def member_order(
    streams: Streams, members: Sequence[int], epoch: int, num_samples: int
) -> np.ndarray:
    """Rows (members, samples) in the order in which an epoch visits them."""
    rows = []
    for member in members:
        order = streams.generator("order", member, epoch).permutation(num_samples)
        if streams.randomness.bootstrap != "off":
            bootstrap = streams.generator("bootstrap", member)
            order = bootstrap.integers(num_samples, size=num_samples)[order]
        rows.append(order)
    return np.stack(rows)


class MemberBatches:
    """One epoch of training batches for a pack of members, (members, batch, ...) each.

    Every member has its own permutation of the samples, of its bootstrap resample when that is on,
    and its own augmentation. What is left of an epoch after its full batches is dropped, as it is
    another part in every epoch; a set smaller than one batch is one batch.

    Args:
        split: the training set on the training device.
        members: global ids of the members, in the order of the leading axis.
        streams: where the random numbers come from.
        batch_size: samples per member and step.
        augmentation: applied to uint8 images.
        normalise: uint8 images to float32 inputs.
    """

    def __init__(
        self,
        split: Resident,
        members: Sequence[int],
        streams: Streams,
        batch_size: int,
        augmentation: Augmentation,
        normalise: Callable[[Tensor], Tensor],
    ) -> None:
        self.split, self.members, self.streams = split, tuple(members), streams
        self.augmentation, self.normalise = augmentation, normalise
        self.batch_size = min(batch_size, len(split.images))
        self.epoch = 0

    @property
    def sampler(self) -> "MemberBatches":
        """Lightning calls `loader.sampler.set_epoch`, and looks for it nowhere else."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.split.images) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        num_samples = len(self.split.images)
        order = member_order(self.streams, self.members, self.epoch, num_samples)
        order = torch.from_numpy(order).to(self.split.images.device)
        draws = np.stack([self._draws(member, num_samples) for member in self.members])
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            here = slice(start, start + self.batch_size)
            index = order[:, here]
            images = self.split.images[index.flatten()]
            images = self.augmentation(images, draws[:, here].reshape(-1, 3))
            target = self.split.target.expand(len(index), -1).gather(1, index)
            yield self.normalise(images).unflatten(0, index.shape), target, index

    def _draws(self, member: int, num_samples: int) -> np.ndarray:
        return self.streams.generator("augmentation", member, self.epoch).random((num_samples, 3))


class EvalBatches:
    """All samples of a split once and in order, the same for every member.

    Args:
        split: the split on the evaluating device.
        batch_size: samples per batch.
        normalise: uint8 images to float32 inputs.
    """

    def __init__(
        self, split: Resident, batch_size: int, normalise: Callable[[Tensor], Tensor]
    ) -> None:
        self.split, self.batch_size, self.normalise = split, batch_size, normalise

    def __len__(self) -> int:
        return math.ceil(len(self.split.target) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        index = torch.arange(len(self.split.target), device=self.split.target.device)
        for here in index.split(self.batch_size):
            yield self.normalise(self.split.images[here]), self.split.target[here], here
