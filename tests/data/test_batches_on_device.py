"""Training batches made on the device, against the same batches written in NumPy."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bvalign.data.augmentation import Augmentation, Resident
from bvalign.data.loader import MemberBatches, Shard
from bvalign.data.normalise import Normalise
from bvalign.randomness import Randomness, Streams

MEMBERS = (4, 2, 9)
MEAN, STD = (0.4, 0.5), (0.2, 0.3)


class Case(NamedTuple):
    """What batches depend on."""

    padding: int = 0
    flip: bool = False
    bootstrap: str = "off"
    words: bool = False
    labels: bool = False  # of each member
    shard: Shard = Shard()
    start: tuple[int, int] = (0, 0)
    steps_at_once: int = 1
    members: tuple[int, ...] = MEMBERS
    batch_size: int = 4
    samples: int = 23
    epoch: int = 3

    @property
    def streams(self):
        return Streams(5, Randomness(bootstrap=self.bootstrap))

    def arrays(self):
        rng = np.random.default_rng(0)
        images = rng.integers(256, size=(self.samples, 2, 6, 5), dtype=np.uint8)
        words = rng.integers(30, size=(self.samples, 7))
        shape = (len(self.members), self.samples) if self.labels else self.samples
        return words if self.words else images, rng.integers(10, size=shape)


CASES = [
    Case(),
    Case(padding=2),
    Case(flip=True),
    Case(padding=1, flip=True),
    Case(padding=3, flip=True, bootstrap="member"),
    Case(padding=2, flip=True, bootstrap="shared", labels=True),
    Case(padding=2, flip=True, shard=Shard(0, 2)),
    Case(padding=2, flip=True, shard=Shard(1, 2), labels=True),
    Case(padding=2, flip=True, start=(3, 2)),  # resumed in this epoch
    Case(padding=2, flip=True, start=(2, 2)),  # in an earlier one
    Case(padding=2, flip=True, steps_at_once=2),
    Case(padding=2, flip=True, steps_at_once=3, start=(3, 1), labels=True),
    Case(padding=2, flip=True, bootstrap="kfold"),  # 23 samples in folds of 6, 6, 6 and 5
    Case(bootstrap="kfold", steps_at_once=2, start=(3, 1), labels=True),
    Case(words=True),
    Case(words=True, steps_at_once=4, start=(3, 1), bootstrap="member", labels=True),
    Case(padding=2, flip=True, members=(6,), samples=3),  # less than a batch
    Case(padding=2, flip=True, members=(), labels=True),  # a rank that has none
]


def loader(case, device="cpu"):
    images, target = (torch.from_numpy(array).to(device) for array in case.arrays())
    batches = MemberBatches(
        Resident(images, target),
        Augmentation(case.padding, case.flip),
        (lambda ids: ids) if case.words else Normalise(MEAN, STD),
        members=case.members,
        streams=case.streams,
        batch_size=case.batch_size,
        shard=case.shard,
        start=case.start,
        steps_at_once=case.steps_at_once,
    )
    batches.sampler.set_epoch(case.epoch)
    return batches


def crop(image, draws, case):
    """One image, padded, cropped and flipped by three uniform random numbers."""
    padded = np.pad(image, [(0, 0), (case.padding,) * 2, (case.padding,) * 2])
    top, left = (int(draw * (2 * case.padding + 1)) for draw in draws[:2])
    cut = padded[:, top : top + 6, left : left + 5]
    return cut[:, :, ::-1] if case.flip and draws[2] < 0.5 else cut


def reference(case, member, row):
    """Every training step of one member in this epoch: (input, target, index) of a rank's part."""
    images, target = case.arrays()
    kept, rng = np.arange(case.samples), case.streams.generator("bootstrap", member)
    if case.bootstrap == "kfold":
        permuted = rng.permutation(case.samples).tolist()
        kept = np.array([row for at, row in enumerate(permuted) if at % 4 != member % 4])
    elif case.bootstrap != "off":
        kept = rng.integers(case.samples, size=case.samples)
    order = case.streams.generator("order", member, case.epoch).permutation(len(kept))
    order = kept[order][: 17 if case.bootstrap == "kfold" else None]
    draws = case.streams.generator("augmentation", member, case.epoch).random((len(order), 3))
    size = min(case.batch_size, case.samples)
    mine = size // case.shard.world
    skipped = case.start[1] * case.steps_at_once if case.start[0] == case.epoch else 0
    for step in range(skipped, len(order) // size):
        here = step * size + case.shard.rank * mine + np.arange(mine)
        index = order[here]
        labels = (target[row] if case.labels else target)[index]
        if case.words:
            yield images[index], labels, index
            continue
        pairs = zip(index, draws[here], strict=True)
        cut = np.stack([crop(images[i], draw, case) for i, draw in pairs]).astype(np.float32)
        mean, std = (np.array(v, np.float32).reshape(-1, 1, 1) for v in (MEAN, STD))
        yield (cut / np.float32(255) - mean) / std, labels, index


def expected(case):
    """The steps of all members: lists of (input, target, index) with a leading member axis."""
    of_members = [list(reference(case, m, row)) for row, m in enumerate(case.members)]
    return [tuple(map(np.stack, zip(*step, strict=True))) for step in zip(*of_members, strict=True)]


def same(batch, arrays):
    for tensor, array in zip(batch, arrays, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array)
        assert tensor.numpy().dtype == array.dtype


@pytest.mark.parametrize("case", CASES, ids=str)
def test_batches_are_those_of_the_host(case):
    steps, batches = expected(case), list(loader(case))
    if not case.members:
        assert all(input.shape == (0, 4, 2, 6, 5) for input, _, _ in batches)
        assert len(batches) == 5
        return
    for batch in batches:  # of several steps
        part, steps = steps[: case.steps_at_once], steps[case.steps_at_once :]
        same(batch, (np.concatenate(arrays, 1) for arrays in zip(*part, strict=True)))
    assert steps == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_steps_are_drawn_one_by_one(case):
    batches = loader(case)
    batches.load_epoch()
    for step in expected(case):
        same(batches.draw(), step)


def test_members_are_drawn_at_their_own_pace_and_epochs_in_the_same_memory():
    case = Case(padding=2, flip=True, labels=True)
    batches = loader(case)
    kept = [batches.rows, batches.shifts, batches.step, batches.split.images]
    addresses = [tensor.data_ptr() for tensor in kept]
    for epoch in (3, 4):
        batches.set_epoch(epoch)
        batches.load_epoch()
        for row in (2, 0, 1):
            for step in expected(case._replace(epoch=epoch)):
                same(batches.draw(row), [array[row : row + 1] for array in step])
    kept = [batches.rows, batches.shifts, batches.step, batches.split.images]
    assert addresses == [tensor.data_ptr() for tensor in kept]


def test_batches_outlive_their_epoch():
    """The next epoch is written over the order of this one."""
    batches = loader(Case(padding=2, flip=True, members=(7,)))
    first = list(batches)
    index = [index.clone() for _, _, index in first]
    batches.set_epoch(4)
    list(batches)
    assert all(torch.equal(a, b) for (_, _, a), b in zip(first, index, strict=True))


class Copies(TorchDispatchMode):
    """Notes operations that copy between devices, or that wait for the device."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        moves = name == "_to_copy" and (kwargs or {}).get("device") is not None
        waits = ("lift_fresh", "_local_scalar_dense", "nonzero", "masked_select", "equal", "item")
        if moves or name in waits:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "case", [Case(1, flip=True, labels=True, steps_at_once=2), Case(words=True)], ids=str
)
def test_a_step_copies_nothing_and_waits_for_nothing(case):
    """On the device "meta" there are no values either, so whatever looked at one would raise."""
    batches = loader(case, "meta")
    iterator = iter(batches)
    next(iterator)
    batches.draw()
    with Copies() as copies:
        shapes = [input.shape for input, _, _ in (next(iterator), batches.draw(), batches.draw(1))]
    assert copies.seen == []
    assert [shape[0] for shape in shapes] == [3, 3, 1]


def test_the_constants_of_images_are_on_a_device_once():
    normalise = Normalise(MEAN, STD)
    images = torch.zeros(1, 2, 3, 3, dtype=torch.uint8)
    normalise(images)
    with Copies() as copies:
        normalise(images)
    assert copies.seen == []
