"""What each argument of Lightning's Trainer and each of its callbacks means for members.

A setting that decides a member's weights is part of the run's identity, is refused by name, or
cannot be reached; docs/devices.md has the table. Lightning's defaults are always accepted.
"""

import os
from collections.abc import Iterable, Mapping

import torch
from lightning.fabric.plugins.environments import ClusterEnvironment, LightningEnvironment
from lightning.pytorch import Callback, Trainer

from bvalign.ensemble.strategy import MemberParallelStrategy
from bvalign.float64 import float64_device

IDENTITY = (
    "max_epochs",
    "max_steps",
    "limit_train_batches",
    "precision",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "sync_batchnorm",
)
"""Arguments that determine the weights of a member."""

REFUSED: dict[str, tuple[tuple[object, ...], str]] = {
    "fast_dev_run": (
        (False, 0),
        "trains a batch and would leave that as a member; for a quick try use --data.num_train, "
        "--trainer.max_epochs=1 and another --trainer.default_root_dir",
    ),
    "max_time": (
        (None,),
        "would end members before their epochs; leave it out: a run that is stopped by Ctrl-C or "
        "SIGTERM continues with the same command",
    ),
    "overfit_batches": (
        (0, 0.0),
        "trains on a few batches; use --data.num_train, or --trainer.limit_train_batches, which is "
        "part of the run's identity",
    ),
    "limit_val_batches": (
        (None, 1.0, 0, 0.0),
        "would leave out samples, and the live metrics need all of them; use --data.num_test for a "
        "smaller test set, or 0 for no validation",
    ),
    "limit_test_batches": (
        (None, 1.0),
        "would leave out samples, and every sample needs all members; use --data.num_test for a "
        "smaller test set",
    ),
    "enable_checkpointing": (
        (False,),
        "would checkpoint packs; leave it out: members are checkpointed one by one "
        "(--checkpoints.seconds)",
    ),
    "use_distributed_sampler": (
        (False,),
        "would give each device a part of the samples of a member; leave it out",
    ),
    "barebones": ((False,), "leaves out what members are saved by; leave it out"),
}
"""Argument -> values that are accepted, and why others are not."""

ALLOWED = frozenset(
    "accelerator strategy devices num_nodes logger callbacks min_epochs min_steps "
    "limit_predict_batches val_check_interval check_val_every_n_epoch "
    "num_sanity_val_steps log_every_n_steps enable_progress_bar enable_model_summary deterministic "
    "benchmark inference_mode profiler detect_anomaly plugins reload_dataloaders_every_n_epochs "
    "default_root_dir enable_autolog_hparams model_registry".split()
)
"""Arguments that determine where, how fast and with which records members are trained."""

_WEIGHTS = "changes the weights of members and is not part of the run's identity; leave it out"
_CHECKPOINTS = (
    "checkpoints packs; leave it out: members are checkpointed one by one (--checkpoints.seconds)"
)

REFUSED_CALLBACKS = {
    "EarlyStopping": "ends all members of a pack at once; leave it out: members are trained for "
    "--trainer.max_epochs",
    "Timer": "ends members before their epochs; leave it out: a run that is stopped by Ctrl-C or "
    "SIGTERM continues with the same command",
    "SpikeDetection": "ends all members of a pack where one has a spike; leave it out: "
    "--model.on_diverged treats each member alone",
    "Checkpoint": _CHECKPOINTS,
    "ModelCheckpoint": _CHECKPOINTS,
    "OnExceptionCheckpoint": _CHECKPOINTS,
    "GradientAccumulationScheduler": f"{_WEIGHTS}, and use --trainer.accumulate_grad_batches",
    "LearningRateFinder": f"{_WEIGHTS}, and give --model.lr",
    "BatchSizeFinder": f"{_WEIGHTS}, and give --data.batch_size",
    "StochasticWeightAveraging": _WEIGHTS,
    "WeightAveraging": _WEIGHTS,
    "EMAWeightAveraging": _WEIGHTS,
    "BaseFinetuning": _WEIGHTS,
    "BackboneFinetuning": _WEIGHTS,
    "ModelPruning": _WEIGHTS,
}
"""Lightning's callbacks that end or change training, with what to do instead."""

ALLOWED_CALLBACKS = frozenset(
    "Callback LambdaCallback BasePredictionWriter DeviceStatsMonitor LearningRateMonitor "
    "ModelSummary RichModelSummary ProgressBar RichProgressBar TQDMProgressBar "
    "ThroughputMonitor".split()
)
"""Lightning's callbacks that watch, and those whose functions are the user's own."""

STRATEGIES = frozenset("SingleDeviceStrategy SingleDeviceXLAStrategy DDPStrategy".split())
"""Lightning's strategies that members can be trained with."""


def trainer_identity(config: Mapping[str, object]) -> dict[str, object]:
    """Values of the decisive arguments; None where one is not in use.

    >>> trainer_identity({"limit_train_batches": 1.0})["limit_train_batches"]
    >>> trainer_identity({"limit_train_batches": 1})["limit_train_batches"]
    1
    """
    identity = {name: config.get(name) for name in IDENTITY}
    identity["sync_batchnorm"] = identity["sync_batchnorm"] or None
    if _same(identity["limit_train_batches"], 1.0):  # all of them; 1 is a single one
        identity["limit_train_batches"] = None
    return identity


def refuse_settings(config: Mapping[str, object]) -> None:
    """Refuses arguments of the Trainer with which members would not be what the run says.

    Args:
        config: arguments by name, as the user has given them.

    Raises:
        ValueError: names the argument and what to use instead.
    """
    for name, (accepted, why) in REFUSED.items():
        value = config.get(name, accepted[0])
        if not any(_same(value, one) for one in accepted):
            raise ValueError(f"trainer.{name}={value} {why}")
    for name in ("limit_train_batches", "max_steps", "max_epochs"):
        if config.get(name) == 0:
            raise ValueError(f"trainer.{name}={config[name]} trains nothing; leave it out")
    for name in ("accumulate_grad_batches", "check_val_every_n_epoch"):
        if config.get(name) is not None and config[name] < 1:
            raise ValueError(f"trainer.{name} must be at least 1, got {config[name]}")
    if config.get("precision") in ("16-mixed", "16", 16):  # on a CPU, Lightning takes another one
        raise ValueError(
            f"trainer.precision={config['precision']} skips a step of all members where one "
            "overflows and so couples them; use bf16-mixed"
        )
    if config.get("max_epochs") == -1 and config.get("max_steps", -1) == -1:
        raise ValueError(
            "trainer.max_epochs=-1 never finishes a member; give a number, or --trainer.max_steps"
        )
    gpus = torch.cuda.is_available() or torch.backends.mps.is_available()
    if config.get("accelerator") in ("gpu", "cuda", "mps") and not gpus:
        raise ValueError(
            f"trainer.accelerator={config['accelerator']}, but PyTorch finds no GPU here; use "
            "--trainer.accelerator=cpu, or leave it out"
        )


def refuse_callbacks(kinds: Iterable[type[Callback]]) -> None:
    """Refuses Lightning's callbacks that end or change training, and subclasses of them.

    Raises:
        ValueError: names the callback and what to use instead.
    """
    for kind in kinds:
        bases = [base for base in kind.__mro__ if base.__module__.startswith("lightning")]
        for base in bases:
            if base.__name__ in REFUSED_CALLBACKS:
                name = kind.__name__
                raise ValueError(f"trainer.callbacks: {name} {REFUSED_CALLBACKS[base.__name__]}")


def refuse_plugins(plugins: Iterable[object]) -> None:
    """Refuses plugins that decide weights or checkpoints.

    Raises:
        ValueError: names the plugin and what to use instead.
    """
    for plugin in plugins:
        if not isinstance(plugin, ClusterEnvironment):
            raise ValueError(
                f"trainer.plugins: {type(plugin).__name__} is not part of the run's identity; "
                "leave it out, and use --trainer.precision or --trainer.sync_batchnorm (members "
                "are checkpointed one by one)"
            )


def refuse_coupling(trainer: Trainer, *, sync_batchnorm: bool) -> None:
    """Refuses a Trainer whose members would depend on each other, or that cannot take packs.

    Args:
        trainer: as the user has configured it.
        sync_batchnorm: the Trainer's argument of that name, which it does not expose.

    Raises:
        ValueError: names the setting and what to use instead.
    """
    if trainer.gradient_clip_val and trainer.gradient_clip_algorithm != "value":
        raise ValueError(
            "trainer.gradient_clip_val clips by the norm over all members of a pack and so couples "
            "them; use --trainer.gradient_clip_algorithm=value"
        )
    device = trainer.strategy.root_device
    if trainer.precision == "64-true" and float64_device(device) != device:
        raise ValueError(
            f"trainer.precision=64-true needs float64, which {device.type} does not have; use "
            "--trainer.accelerator=cpu"
        )
    if sync_batchnorm and isinstance(trainer.strategy, MemberParallelStrategy):
        raise ValueError(
            "trainer.sync_batchnorm couples the members of different ranks under member_parallel; "
            "leave it out, or use --trainer.strategy=ddp"
        )
    refuse_callbacks(map(type, trainer.callbacks))  # also those of installed packages
    _refuse_processes(trainer)


def _refuse_processes(trainer: Trainer) -> None:
    """Refuses ways to start processes that cannot go through several packs."""
    kind, strategy = type(trainer.strategy), trainer.strategy
    if kind.__module__.startswith("lightning") and kind.__name__ not in STRATEGIES:
        raise ValueError(
            f"trainer.strategy: {kind.__name__} cannot train members; use member_parallel or ddp"
        )
    method = getattr(strategy, "_start_method", "popen")
    if method != "popen":
        raise ValueError(
            f"trainer.strategy starts its processes by {method}, which cannot go through several "
            "packs; use member_parallel or ddp"
        )
    alone = isinstance(getattr(strategy, "cluster_environment", None), LightningEnvironment)
    if trainer.num_nodes > 1 and alone and "MASTER_ADDR" not in os.environ:
        raise ValueError(
            f"trainer.num_nodes={trainer.num_nodes}, but nothing says where the other nodes are; "
            "start with torchrun or srun, or set MASTER_ADDR, MASTER_PORT and NODE_RANK on each"
        )


def _same(value: object, other: object) -> bool:
    """Compares with the type: 1 is one batch, 1.0 all of them."""
    return value == other and type(value) is type(other)
