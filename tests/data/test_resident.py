"""Data that stay on the device from wave to wave, and what waves leave behind."""

import gc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy

from bvalign.commands import waves
from bvalign.data import Augmentation, Digits
from bvalign.data.loader import Shard
from bvalign.randomness import Streams


@pytest.fixture
def padded(monkeypatch):
    """Digits with crops, as CIFAR-10 has them."""
    monkeypatch.setattr(Digits, "augmentation", Augmentation(padding=1, flip=True))


def live_bytes():
    """Bytes of all tensors that can be reached or wait for the cycle collector."""
    tensors = [o for o in gc.get_objects() if type(o) in (torch.Tensor, torch.nn.Parameter)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


@pytest.mark.usefixtures("padded")
def test_waves_share_the_data_and_leave_nothing(fit, monkeypatch):
    """Without Python's search for circles, which may come late: five waves of a member each."""
    after, loaders, train_wave = [], [], waves._train_wave

    def watched(run, module, datamodule, *rest):
        train_wave(run, module, datamodule, *rest)
        after.append(live_bytes())
        loaders.append([datamodule.train_dataloader(), datamodule.test_dataloader()])
        loaders[-1] = [loader.split.images.data_ptr() for loader in loaders[-1]]

    monkeypatch.setattr(waves, "_train_wave", watched)
    gc.disable()
    try:
        fit("--model.members=5", "--model.pack_size=1", "--data.label_noise=0.1",
            "--data.label_noise_of=member", "--model.width=64")  # fmt: skip
    finally:
        gc.enable()
    assert len(after) == 5
    assert loaders[1:] == loaders[:-1]
    assert max(after[1:]) - min(after[1:]) < 5_000, after  # a wave's weights alone are more


def data(members, device="cpu", **arguments):
    """A data module as a Trainer would hold it."""
    digits = Digits(num_train=50, num_test=20, **arguments)
    digits.setup()
    digits.trainer = SimpleNamespace(
        lightning_module=SimpleNamespace(
            members=members, streams=Streams(), start=(0, 0), steps_at_once=1, drawn=False
        ),
        strategy=SingleDeviceStrategy(device=torch.device(device)),
        distributed_sampler_kwargs=None,
    )
    return digits


@pytest.mark.usefixtures("padded")
def test_the_training_set_is_padded_once_and_given_without():
    digits = data((0, 1))
    first, again = digits.train_dataloader(), digits.train_dataloader()
    assert first.split.images.shape == (50, 1, 10, 10)
    assert first.split.images.data_ptr() == again.split.images.data_ptr()
    input, target = digits.train_inputs()
    images = torch.from_numpy(digits.arrays.train_images)
    assert torch.equal(input, digits.normalise(images))
    assert torch.equal(target, torch.from_numpy(digits.arrays.train_target))
    plain = data((0, 1), augment=False)
    assert plain.train_dataloader().split.images.shape == (50, 1, 8, 8)


def test_on_the_cpu_nothing_is_copied():
    digits = data((0,))
    for loader, name in ((digits.train_dataloader(), "train"), (digits.val_dataloader(), "test")):
        for tensor, what in zip(loader.split, ("images", "target"), strict=False):
            array = getattr(digits.arrays, f"{name}_{what}")
            assert tensor.data_ptr() == array.__array_interface__["data"][0]


def test_each_device_has_a_copy():
    digits = data((0,))
    digits.train_dataloader()
    digits.trainer.strategy = SingleDeviceStrategy(device=torch.device("meta"))
    assert digits.train_dataloader().split.images.device.type == "meta"


def test_labels_of_members_are_their_own_also_of_none():
    """A rank without members draws no labels."""
    noise = {"label_noise": 0.5, "label_noise_of": "member"}
    both, other, none = (data(members, **noise) for members in ((3, 4), (4,), ()))
    labels = both.train_dataloader().split.target
    assert torch.equal(labels[1:], other.train_dataloader().split.target)
    clean = torch.from_numpy(both.arrays.train_target)
    assert (labels != clean).sum(dim=1).tolist() == [25, 25]
    assert [index.shape for _, _, index in none.train_dataloader()] == [(0, 50)]


@pytest.mark.parametrize("world", [1, 3])
def test_ranks_evaluate_each_sample_once(world):
    from bvalign.data.loader import EvalBatches

    digits = data((0,))
    split = digits.test_dataloader().split
    seen = []
    for rank in range(world):
        batches = EvalBatches(split, 3, digits.normalise, Shard(rank, world))
        parts = list(batches)
        assert len(parts) == len(batches)
        for input, target, index in parts:
            assert torch.equal(input, digits.normalise(split.images[index]))
            assert torch.equal(target, split.target[index])
            seen.append(index)
    assert np.array_equal(torch.cat(seen), np.arange(20))
