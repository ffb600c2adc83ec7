"""Statistics of tensors on a device without float64, as Apple's GPUs are, go to the CPU.

The device is simulated, under the name of PyTorch's `meta`: a tensor on it wraps one of the CPU,
which computes. It refuses float64 as `mps` does; nothing else of `mps` is simulated.
"""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from bvalign import AlignmentScatter, BiasVariance
from bvalign.commands.trainers import hardware
from bvalign.ensemble.features import LastLayer
from bvalign.ensemble.trainer_settings import refuse_coupling
from bvalign.float64 import float64_device
from bvalign.show.callbacks import NeuralCollapseMonitor

CPU, DEVICE = torch.device("cpu"), torch.device("meta")


class There(Tensor):
    """A tensor on the device; `inner` has its numbers."""

    @staticmethod
    def __new__(cls, inner):
        refuse(inner.dtype)
        place = {"strides": inner.stride(), "dtype": inner.dtype, "device": DEVICE}
        tensor = Tensor._make_wrapper_subclass(cls, inner.shape, **place)
        tensor.inner = inner
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        """Computes on the CPU; results are where the inputs are, or where they were asked for."""
        kwargs = kwargs or {}
        device = torch.device(kwargs.get("device") or DEVICE)
        if "device" in kwargs:
            kwargs = kwargs | {"device": CPU}
        unwrap = [one.inner if isinstance(one, There) else one for one in args]
        found = func(*unwrap, **kwargs)
        if device != DEVICE:
            return found
        return tree_map(lambda one: There(one) if isinstance(one, Tensor) else one, found)


class WithoutFloat64(TorchDispatchMode):
    """Refuses new float64 tensors on the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if str((kwargs or {}).get("device")) == "meta":
            refuse(kwargs.get("dtype"))
        if any(isinstance(one, There) for one in tree_leaves(args)):
            return NotImplemented
        return func(*args, **(kwargs or {}))


def refuse(dtype):
    if dtype == torch.float64:
        raise TypeError("Cannot convert a tensor to float64, which this device does not have")


@pytest.fixture(autouse=True)
def _device():
    with WithoutFloat64():
        yield


def trainer(device=DEVICE, **more):
    strategy = SimpleNamespace(root_device=device, reduce=lambda value, **_: value)
    return Mock(Trainer, strategy=strategy, world_size=1, **more)


def test_the_device_refuses_float64():
    here = torch.rand(2)
    assert torch.equal((There(here) * 2).to("cpu"), here * 2)
    for refused in (There(here).double, lambda: torch.zeros(2, dtype=torch.float64, device=DEVICE)):
        with pytest.raises(TypeError, match="float64"):
            refused()
    assert float64_device(DEVICE) == float64_device(CPU) == CPU


def test_the_live_metrics_are_on_the_cpu():
    outputs = {
        "member": torch.tensor([1, 4]),
        "index": torch.arange(5),
        "target": torch.tensor([0, 2, 1, 1, 0]),
        "logits": torch.randn(2, 5, 3),
    }
    expected = BiasVariance(5, 3)
    expected.update(**outputs)
    data = SimpleNamespace(num_test_samples=5, num_classes=3)
    whole = {"sanity_checking": False, "fast_dev_run": False, "limit_val_batches": 1.0}
    where, scatter = trainer(datamodule=data, **whole), AlignmentScatter()
    scatter.on_validation_start(where, Mock(LightningModule))
    there = {name: There(value) for name, value in outputs.items()}
    scatter.on_validation_batch_end(where, Mock(LightningModule), there)
    found = scatter.metrics["val"].compute()
    assert found.bias_sq.device == CPU
    assert torch.equal(found.bias_sq, expected.compute().bias_sq)


def collapse(place, root):
    """What the monitor writes of a member whose tensors are at a place."""
    given = torch.Generator().manual_seed(0)
    features, target = torch.randn(30, 4, generator=given), torch.arange(30) % 3
    last = LastLayer(features, torch.randn(3, 4, generator=given), torch.zeros(3))
    inputs = place(features), place(target)
    data = SimpleNamespace(train_inputs=lambda: inputs, shard=SimpleNamespace(world=1))
    module = Mock(
        LightningModule,
        members=(0,),
        sound_members=lambda: [0],
        last_layer=lambda *_: LastLayer(*map(place, last)),
        log_dict=lambda *_, **__: None,
        device=CPU,
    )
    epochs = {"current_epoch": 0, "max_epochs": 1, "is_global_zero": True}
    NeuralCollapseMonitor().on_train_epoch_end(
        trainer(datamodule=data, default_root_dir=root, **epochs), module
    )
    return (Path(root) / "collapse.csv").read_text()


def test_neural_collapse_is_measured_on_the_cpu():
    assert collapse(There, "there") == collapse(lambda tensor: tensor, "here")


def test_it_is_said_and_float64_training_is_refused():
    assert hardware(trainer()) == "meta without float64 (statistics are computed on the CPU)"
    assert hardware(trainer(CPU)) == "cpu"
    precise = trainer(precision="64-true", gradient_clip_val=None)
    with pytest.raises(ValueError, match="64-true needs float64, which meta does not have; use"):
        refuse_coupling(precise, sync_batchnorm=False)
