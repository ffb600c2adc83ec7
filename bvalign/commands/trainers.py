"""The Trainer of one wave, from the user's configuration and what bvalign adds."""

import copy
import importlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.strategies import DDPStrategy

from bvalign.ensemble.stopping import keep_lightning_from_signals
from bvalign.ensemble.strategy import MemberParallelStrategy
from bvalign.ensemble.trainer_settings import refuse_callbacks, refuse_plugins
from bvalign.float64 import float64_device

TRAINER_DEFAULTS = {
    "max_epochs": 20,
    "log_every_n_steps": 1,
    "check_val_every_n_epoch": 5,
    "num_sanity_val_steps": 0,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}
"""Of the arguments that differ from Lightning's own."""

NOISY_LOGGERS = (
    "pytorch.utilities.rank_zero",  # announces every Trainer, and a run has one per pack
    "pytorch.trainer.connectors.checkpoint_connector",  # on a default; checkpoints are our own
    "fabric.utilities.seed",  # a seed that run.json records
)
"""Loggers of Lightning whose messages tell users nothing; their warnings are shown."""


def quiet_lightning() -> None:
    """Silences the loggers of Lightning that tell nothing."""
    for name in NOISY_LOGGERS:
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)


def make_trainer(config: Mapping[str, Any], callbacks: Sequence[Callback], **more: Any) -> Trainer:
    """Makes a Trainer with the user's callbacks and these; a progress bar of the user's is the one.

    Without a named strategy, each of several devices trains its own members.

    Args:
        config: the user's arguments of the Trainer, instantiated.
        callbacks: come after the user's.
        **more: further arguments, in place of the user's; `plugins` is a single one, and is added.

    Raises:
        ValueError: a callback or plugin of the user's is refused; the message names it.
    """
    users, plugins = _list(config["callbacks"]), _list(config["plugins"])
    refuse_callbacks(map(type, users))
    refuse_plugins(plugins)
    barred = any(isinstance(one, ProgressBar) for one in users)
    if barred or config["enable_progress_bar"] is False:
        callbacks = [one for one in callbacks if not isinstance(one, ProgressBar)]
    arguments = {
        **config,
        **more,
        "strategy": copy.deepcopy(more.get("strategy", config["strategy"])),  # it is filled in
        "callbacks": [*users, *callbacks],
        "plugins": [*plugins, *_list(more.get("plugins"))],
    }
    trainer = Trainer(**arguments)
    if arguments["strategy"] == "auto" and type(trainer.strategy) is DDPStrategy:
        trainer = Trainer(**arguments | {"strategy": MemberParallelStrategy.strategy_name})
    keep_lightning_from_signals(trainer)
    return trainer


def hardware(trainer: Trainer) -> str:
    """Says what trains, in words: ranks, device, and whether statistics are computed elsewhere."""
    strategy, device = trainer.strategy, trainer.strategy.root_device
    ranks = f"{trainer.world_size} ranks of {type(strategy).__name__}, "
    elsewhere = device != float64_device(device)
    return (
        f"{ranks if trainer.world_size > 1 else ''}{device}"
        f"{' without float64 (statistics are computed on the CPU)' if elsewhere else ''}"
    )


def checked_seed(seed: bool | int) -> int:
    """Returns the seed if it can be part of a run's identity.

    Raises:
        ValueError: it cannot.
    """
    if isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(
            "seed_everything must be a number from 0 to 4294967295: the seed is part of the run's "
            "identity"
        )
    return seed


def class_of(path: str) -> type:
    """The class of a complete dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def refuse_callback_classes(config: Any) -> None:
    """Refuses the callbacks of a configuration before they are made: some cannot be written down.

    Raises:
        ValueError: names the callback and what to use instead.
    """
    refuse_callbacks(class_of(one.class_path) for one in _list(config))


def _list(one_or_several: Any) -> list[Any]:
    if one_or_several is None:
        return []
    return one_or_several if isinstance(one_or_several, list) else [one_or_several]
