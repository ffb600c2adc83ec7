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
from jaxtyping import Int16, Int64, Num
from torch import Tensor

from bvalign.data.augmentation import Augmentation, Resident
from bvalign.randomness import Streams

TrainBatch = tuple[
    Num[Tensor, "members batch ..."], Int64[Tensor, "members batch"], Int64[Tensor, "members batch"]
]
EvalBatch = tuple[Num[Tensor, "batch ..."], Int64[Tensor, " batch"], Int64[Tensor, " batch"]]
"""(input, target, index): float images (channels, height, width) or token ids (words), class ids,
and rows of the data set."""


class Shard(NamedTuple):
    """One rank's part of every batch, where ranks split the samples (ddp)."""

    rank: int = 0
    world: int = 1

    def of(self, length: int) -> slice:
        """This rank's slice of `length` items; the slices of all ranks cover each item once."""
        return slice(length * self.rank // self.world, length * (self.rank + 1) // self.world)


class MemberSchedule:
    """The samples that each member of a pack sees at each step of an epoch.

    Every member has its own permutation of its samples: all, its bootstrap resample, or those
    outside its fold (`Streams.samples`). The incomplete batch at the end of an epoch is dropped, as
    other samples are in it in every epoch; a data set smaller than one batch is one batch.

    Args:
        num_samples: size of the training set.
        members: global ids of the members, in the order of the leading axis.
        streams: source of the random numbers.
        batch_size: samples per member and step, over all ranks.
        shard: this rank's part of each batch.
        start: (epoch, batch) to resume from; earlier batches of that epoch are skipped.
        steps_at_once: training steps whose samples come as one batch, the last batch of an epoch
            with the remainder; for steps that take less time than Lightning's loop around them.
        drawn: a batch is a number of training steps, each of which draws its samples itself.

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
        drawn: bool = False,
    ) -> None:
        self.num_rows, self.num_samples = num_samples, streams.samples_per_epoch(num_samples)
        self.members, self.streams = tuple(members), streams
        self.batch_size = min(batch_size, self.num_samples)
        self.num_steps = self.num_samples // self.batch_size  # of an epoch
        self.steps_at_once, self.drawn = steps_at_once, drawn
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

    @property
    def first_batch(self) -> int:
        """Batches of this epoch that were trained on before."""
        epoch, batch = self.start
        return batch if epoch == self.epoch else 0

    def order(self) -> Int64[np.ndarray, "members samples"]:
        """Rows in the order in which members visit them in this epoch."""
        rows = np.empty((len(self.members), self.num_samples), dtype=np.int64)
        for row, member in zip(rows, self.members, strict=True):
            samples = self.streams.samples(member, self.num_rows)
            order = self.streams.generator("order", member, self.epoch).permutation(len(samples))
            row[:] = samples[order[: len(row)]]
        return rows

    def steps(self) -> Iterator[slice]:
        """Slices of `order` with this rank's part of each batch."""
        part = self.shard.of(self.batch_size)
        size = self.batch_size * self.steps_at_once
        for number in range(self.first_batch, len(self)):
            first = number * size
            last = min(first + size, self.num_steps * self.batch_size)
            yield slice(first + part.start, last - self.batch_size + part.stop)


class MemberBatches(MemberSchedule):
    """One epoch of training batches for a pack of members, (members, batch, ...) each.

    An iterator gives them, or after `load_epoch` each `draw` those of one training step, on which
    nothing crosses between host and device and nobody waits, so that a CUDA graph can capture it.
    The tensors that it reads stay where they are for the whole life of the loader.

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
        self.split, self.augmentation = augmentation.pad(split), augmentation
        self.normalise = normalise
        device, part = split.images.device, self.shard.of(self.batch_size)
        shape = (len(self.members), self.num_samples)
        self.rows = torch.zeros(shape, dtype=torch.int64, device=device)  # `order` of the epoch
        shifts = (*shape, augmentation.num_shifts)
        self.shifts = torch.zeros(shifts, dtype=torch.int16, device=device)
        self.step = torch.zeros(shape[0], dtype=torch.int64, device=device)  # next of each member
        self.part = torch.arange(part.start, part.stop, device=device)

    def state_dict(self) -> dict[str, object]:
        """Nothing: `start` says where to resume. Having it tells Lightning that we can."""
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Nothing to load."""

    def __iter__(self) -> Iterator[TrainBatch | int]:
        self.load_epoch()
        if self.drawn:
            done = range(self.first_batch * self.steps_at_once, self.num_steps, self.steps_at_once)
            yield from (min(self.steps_at_once, self.num_steps - first) for first in done)
            return
        for here in self.steps():
            index = self.rows[:, here].clone()  # the next epoch overwrites the rows
            yield self._batch(slice(None), index, self.shifts[:, here])

    def load_epoch(self) -> None:
        """Copies order and random numbers of the epoch to the device, for its first step.

        With `draw` on several streams, the current one must come after them.
        """
        order = self.order()
        _fill(self.rows, order)
        if self.augmentation.num_shifts:
            shifts = np.empty(self.shifts.shape, dtype=np.int16)
            for row, visited, member in zip(shifts, order, self.members, strict=True):
                row[:] = self.augmentation.draw(self.streams, member, self.epoch, visited)
            _fill(self.shifts, shifts)
        self.step.fill_(self.first_batch * self.steps_at_once)

    def draw(self, row: int | None = None) -> TrainBatch:
        """The batch of the next training step, of all members or of one; counts that step.

        Args:
            row: of one member in the pack; the leading axis then has length one. Each member has a
                step of its own, so members need not wait for each other.
        """
        mine = slice(None) if row is None else slice(row, row + 1)
        step = self.step[mine]
        columns = step[:, None] * self.batch_size + self.part
        wide = columns[..., None].expand(-1, -1, self.shifts.shape[-1])
        index, shifts = self.rows[mine].gather(1, columns), self.shifts[mine].gather(1, wide)
        step += 1
        return self._batch(mine, index, shifts)

    def _batch(
        self,
        mine: slice,
        index: Int64[Tensor, "members batch"],
        shifts: Int16[Tensor, "members batch shifts"],
    ) -> TrainBatch:
        images = self.augmentation(self.split.images, index.flatten(), shifts.flatten(0, 1))
        target = self.split.target.expand(len(self.members), -1)[mine].gather(1, index)
        return self.normalise(images).unflatten(0, index.shape), target, index


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
        self.part = shard.of(len(split.target))

    def __len__(self) -> int:
        return math.ceil((self.part.stop - self.part.start) / self.batch_size)

    def __iter__(self) -> Iterator[EvalBatch]:
        images, target = self.split.images, self.split.target
        for first in range(self.part.start, self.part.stop, self.batch_size):
            last = min(first + self.batch_size, self.part.stop)
            index = torch.arange(first, last, device=target.device)
            yield self.normalise(images[first:last]), target[first:last], index


def _fill(tensor: Num[Tensor, "..."], array: Num[np.ndarray, "..."]) -> None:
    """Copies an array into a tensor; a GPU fetches it while the host goes on.

    PyTorch hands out the pinned memory again only after that copy has been made.
    """
    host = torch.from_numpy(array)
    tensor.copy_(host.pin_memory() if tensor.is_cuda else host, non_blocking=tensor.is_cuda)
