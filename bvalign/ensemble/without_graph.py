"""Why a fit makes the usual training steps rather than whole ones on the device (`steps.py`)."""

from collections.abc import Iterator

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LambdaCallback, ThroughputMonitor
from torch.utils._foreach_utils import _get_fused_kernels_supported_devices

from bvalign.data import EnsembleDataModule
from bvalign.data.loader import MemberBatches
from bvalign.data.resident import ResidentDataModule
from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.pack import random_module
from bvalign.ensemble.plans import random_input

STEP_HOOKS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)
"""What a callback follows steps by; there are neither batches nor calls inside a graph."""

BATCH_HOOKS = (
    "train_dataloader",
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
)
"""What a data set of the user's may change batches by."""


def why_usual_steps(
    module: Ensemble, datamodule: EnsembleDataModule, trainer: Trainer
) -> str | None:
    """The first reason against whole steps on the device, in words; None if there is none."""
    device = trainer.strategy.root_device
    if device.type == "cpu":
        return "on a CPU"
    return next(_reasons(module, datamodule, trainer, device), None)


def counted_batches(trainer: Trainer) -> str | None:
    """The setting for which every batch must be one training step, or None."""
    ranks = trainer.distributed_sampler_kwargs or {"num_replicas": 1}
    settings = {  # name: whether it is in use
        "accumulate_grad_batches": trainer.accumulate_grad_batches > 1,
        "gradient_clip_val": bool(trainer.gradient_clip_val),
        # 1 is a single one, 1.0 all of them
        "limit_train_batches": not _is_one(trainer.limit_train_batches),
        "val_check_interval": not _is_one(trainer.val_check_interval),
        "max_steps": trainer.max_steps != -1,
        "max_epochs": (trainer.max_epochs or 0) < 1,
        "strategy": ranks["num_replicas"] > 1,
    }
    return next((f"trainer.{name}" for name, used in settings.items() if used), None)


def _reasons(
    module: Ensemble, datamodule: EnsembleDataModule, trainer: Trainer, device: torch.device
) -> Iterator[str]:
    if module.graph == "off":
        yield "model.graph=off"
    if module.compiled:
        yield "model.compile=true"
    if setting := counted_batches(trainer):
        yield setting
    if trainer.reload_dataloaders_every_n_epochs:
        yield "trainer.reload_dataloaders_every_n_epochs"
    if trainer._detect_anomaly:
        yield "trainer.detect_anomaly"
    if device.type == "cuda" and trainer.precision == "64-true":
        yield "trainer.precision=64-true: fused optimizers read the learning rate in float32"
    if device.type not in _get_fused_kernels_supported_devices():
        yield f"no fused optimizer on {device.type}"
    if type(module) is not Ensemble:
        yield f"{type(module).__name__} is a class of your own"
    if not _draws_on_device(datamodule):
        yield f"{type(datamodule).__name__} makes its batches in a way of its own"
    for callback in trainer.callbacks:
        if _follows_steps(callback):
            yield f"{type(callback).__name__} follows every batch"
    if drawing := _random_part(module):
        yield f"{drawing} draws random numbers"


def _is_one(limit: int | float) -> bool:
    return isinstance(limit, float) and limit == 1.0


def _draws_on_device(datamodule: EnsembleDataModule) -> bool:
    kind, ours = type(datamodule), ResidentDataModule
    return (
        issubclass(kind, ours)
        and kind.batches is MemberBatches
        and all(getattr(kind, name) is getattr(ours, name) for name in BATCH_HOOKS)
    )


def _follows_steps(callback: Callback) -> bool:
    """Ours and Lightning's watch the clock, or the device; a user's may look at the batch."""
    room = type(callback).__module__.split(".")[0]
    if room in ("bvalign", "lightning") and not isinstance(
        callback, LambdaCallback | ThroughputMonitor
    ):
        return False
    hooks = ((getattr(callback, name), getattr(Callback, name)) for name in STEP_HOOKS)
    return any(getattr(own, "__func__", None) is not empty for own, empty in hooks)


def _random_part(module: Ensemble) -> str | None:
    """The part of a network that draws random numbers, also one that does not say so."""
    network = module.initial_network(0).train()
    if part := random_module(network):
        return part
    input = random_input(network, (2,), module.image_shape)
    with torch.random.fork_rng([]), torch.no_grad():
        before = torch.get_rng_state()
        network(input)
        return None if torch.equal(torch.get_rng_state(), before) else module.arch
