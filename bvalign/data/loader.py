"""Batches of a data set that is held entirely on the training device.

Training batches have a leading member axis, because every member visits the samples in its own
order and augments them in its own way; evaluation batches are the same for all members. Indexing
and augmentation are one gather for all members of a pack, so no worker processes are needed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, Num, UInt8
from torch import Tensor

from bvalign.randomness import Streams

TrainBatch = tuple[
    Num[Tensor, "members batch ..."], Int64[Tensor, "members batch"], Int64[Tensor, "members batch"]
]
EvalBatch = tuple[Num[Tensor, "batch ..."], Int64[Tensor, " batch"], Int64[Tensor, " batch"]]
"""(input, target, index): float images (channels, height, width) or token ids (words), class ids,
and rows of the data set."""


class Resident(NamedTuple):
    """One split on one device."""

    images: UInt8[Tensor, "samples channels height width"] | Int64[Tensor, "samples words"]
    target: Int64[Tensor, "*members samples"]  # with members: labels of their own


class Augmentation(NamedTuple):
    """Random crop after zero padding and random horizontal flip; (0, False) does nothing.

    Args:
        padding: pixels added on each side before a crop of the original size.
        flip: mirror left and right with probability one half.
    """

    padding: int = 0
    flip: bool = False

    def __call__(
        self,
        images: UInt8[Tensor, "batch channels height width"] | Int64[Tensor, "batch words"],
        draws: Float[np.ndarray, "batch 3"],
    ) -> UInt8[Tensor, "batch channels height width"] | Int64[Tensor, "batch words"]:
        """Augments images by uniform draws in [0, 1); token ids go through (0, False) only."""
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


class Shard(NamedTuple):
    """One rank's part of every batch, where ranks split the samples (ddp)."""

    rank: int = 0
    world: int = 1

    def of(self, length: int) -> slice:
        """This rank's slice of `length` items; the slices of all ranks cover each item once."""
        return slice(length * self.rank // self.world, length * (self.rank + 1) // self.world)


class MemberSchedule:
    """The samples that each member of a pack sees at each step of an epoch.

    Every member has its own permutation of the samples, or of its bootstrap resample when that is
    on. The incomplete batch at the end of an epoch is dropped, as other samples are in it in every
    epoch; a data set smaller than one batch is one batch.

    Args:
        num_samples: size of the training set.
        members: global ids of the members, in the order of the leading axis.
        streams: source of the random numbers.
        batch_size: samples per member and step, over all ranks.
        shard: this rank's part of each batch.
        start: (epoch, batch) to resume from; earlier batches of that epoch are skipped.
        steps_at_once: training steps whose samples come as one batch, the last batch of an epoch
            with the remainder; for steps that take less time than Lightning's loop around them.

    Raises:
        ValueError: the batch size is not a multiple of the number of ranks.
    """

    def __init__(
        self,
        num_samples: int,
        members: Sequence[int],
        streams: Streams,
        batch_size: int,
        shard: Shard = Shard(),  # noqa: B008 (immutable)
        start: tuple[int, int] = (0, 0),
        steps_at_once: int = 1,
    ) -> None:
        self.num_samples, self.members, self.streams = num_samples, tuple(members), streams
        self.batch_size = min(batch_size, num_samples)
        self.num_steps = num_samples // self.batch_size  # of an epoch
        self.steps_at_once = steps_at_once
        self.shard, self.start, self.epoch = shard, start, 0
        if self.batch_size % shard.world:
            raise ValueError(
                f"data.batch_size must be a multiple of the {shard.world} ranks that split it, got "
                f"{self.batch_size}"
            )

    @property
    def sampler(self) -> "MemberSchedule":
        """This schedule: Lightning looks for `set_epoch` on `loader.sampler` only."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.num_steps / self.steps_at_once)

    def order(self) -> Int64[np.ndarray, "members samples"]:
        """Rows in the order in which members visit them in this epoch."""
        rows = np.empty((len(self.members), self.num_samples), dtype=np.int64)
        for row, member in zip(rows, self.members, strict=True):
            row[:] = self.streams.generator("order", member, self.epoch).permutation(len(row))
            if self.streams.randomness.bootstrap != "off":
                bootstrap = self.streams.generator("bootstrap", member)
                row[:] = bootstrap.integers(len(row), size=len(row))[row]
        return rows

    def steps(self) -> Iterator[slice]:
        """Slices of `order` with this rank's part of each batch."""
        epoch, batch = self.start
        part = self.shard.of(self.batch_size)
        size = self.batch_size * self.steps_at_once
        for number in range(batch if epoch == self.epoch else 0, len(self)):
            first = number * size
            last = min(first + size, self.num_steps * self.batch_size)
            yield slice(first + part.start, last - self.batch_size + part.stop)


class MemberBatches(MemberSchedule):
    """One epoch of training batches for a pack of members, (members, batch, ...) each.

    Args:
        split: the training set on the training device.
        augmentation: applied to uint8 images.
        normalise: turns uint8 images into float inputs.
        schedule: the other arguments of `MemberSchedule`.
    """

    def __init__(
        self,
        split: Resident,
        augmentation: Augmentation,
        normalise: Callable[[Tensor], Tensor],
        **schedule: Any,
    ) -> None:
        super().__init__(len(split.images), **schedule)
        self.split, self.augmentation, self.normalise = split, augmentation, normalise

    def state_dict(self) -> dict[str, object]:
        """Nothing: `start` says where to resume. Having it tells Lightning that we can."""
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Nothing to load."""

    def __iter__(self) -> Iterator[TrainBatch]:
        order = torch.from_numpy(self.order()).to(self.split.images.device)
        draws = self._draws()
        for here in self.steps():
            index = order[:, here]
            images = self.split.images[index.flatten()]
            images = self.augmentation(images, draws[:, here].reshape(-1, 3))
            target = self.split.target.expand(len(index), -1).gather(1, index)
            yield self.normalise(images).unflatten(0, index.shape), target, index

    def _draws(self) -> Float[np.ndarray, "members samples 3"]:
        """Uniform random numbers of each member, in the order in which it visits samples."""
        draws = np.empty((len(self.members), self.num_samples, 3))
        for row, member in zip(draws, self.members, strict=True):
            row[:] = self.streams.generator("augmentation", member, self.epoch).random(row.shape)
        return draws


class EvalBatches:
    """All samples of a split once and in order, the same for every member.

    Args:
        split: the split on the evaluating device.
        batch_size: samples per batch.
        normalise: turns uint8 images into float inputs.
        shard: this rank's part of the split; nothing is repeated to make the parts equal.
    """

    def __init__(
        self,
        split: Resident,
        batch_size: int,
        normalise: Callable[[Tensor], Tensor],
        shard: Shard = Shard(),  # noqa: B008 (immutable)
    ) -> None:
        self.split, self.batch_size, self.normalise = split, batch_size, normalise
        self.index = torch.arange(len(split.target), device=split.target.device)
        self.index = self.index[shard.of(len(self.index))]

    def __len__(self) -> int:
        return math.ceil(len(self.index) / self.batch_size)

    def __iter__(self) -> Iterator[EvalBatch]:
        for here in self.index.split(self.batch_size):
            yield self.normalise(self.split.images[here]), self.split.target[here], here
