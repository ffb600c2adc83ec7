"""Checkpoints during training, kept in the folder of each member."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException

from bvalign.ensemble.member_state import (
    check_optimizer,
    check_optimizer_state,
    cut_out,
    put_together,
)
from bvalign.ensemble.module import Ensemble
from bvalign.predictions import RunDirectory
from bvalign.predictions.run.claims import Work


class MemberCheckpointIO(CheckpointIO):
    """Stores Lightning's checkpoints by member; the path is the number of optimizer steps.

    Args:
        run: directory with the members' files.
        module: the ensemble in training.
        work: members in training on all ranks; a rank without any takes the loops of the first.
    """

    def __init__(self, run: RunDirectory, module: Ensemble, work: Work) -> None:
        self.run, self.module, self.work = run, module, work

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        for member in self.module.sound_members():
            state = cut_out(checkpoint, self.module, member)
            self.run.member(member).save_checkpoint(int(path), state)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        first = self.run.member(self.work.members[0]).load_checkpoint(int(path))
        states = {m: self.run.member(m).load_checkpoint(int(path)) for m in self.module.members}
        return put_together(states, self.module, first.info)

    def remove_checkpoint(self, path: Any) -> None:
        """Does nothing: a member's folder keeps its last two."""


class CheckpointMembers(Callback):
    """Saves all members in training at intervals, and when the run is asked to stop.

    Args:
        seconds: least number of seconds between two checkpoints.
        every_n_steps: batches between two looks at the clock within an epoch; the clock is always
            checked at the end of an epoch.
    """

    def __init__(self, seconds: float = 60.0, every_n_steps: int = 500) -> None:
        if seconds < 0 or every_n_steps < 1:
            raise ValueError(
                "checkpoints.seconds must be at least 0 and checkpoints.every_n_steps at least 1, "
                f"got {seconds} and {every_n_steps}"
            )
        self.seconds, self.every_n_steps = seconds, every_n_steps
        self.last = time.monotonic()
        self.unchecked = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuses optimizers and schedules that could not be saved later."""
        self.last = time.monotonic()
        self.unchecked = bool(pl_module.members)  # a rank without any has no optimizer
        if self.unchecked:
            schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
            check_optimizer(trainer.optimizers, schedulers, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.unchecked and trainer.optimizers[0].state:  # there is none before the first step
            check_optimizer_state(trainer.optimizers[0])
            self.unchecked = False
        done = batch_idx + 1
        if done % self.every_n_steps == 0 and done < trainer.num_training_batches:
            self._save_if_due(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch + 1 != trainer.max_epochs:
            self._save_if_due(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Saves when all ranks stop after the same batch."""
        if isinstance(exception, SIGTERMException) and trainer.training:
            trainer.save_checkpoint(str(trainer.global_step))

    def _save_if_due(self, trainer: Trainer) -> None:
        """By the clock of rank zero, so that all ranks save the same step."""
        accumulating = trainer.fit_loop.epoch_loop._should_accumulate()
        if accumulating:
            return
        if trainer.strategy.broadcast(time.monotonic() - self.last >= self.seconds):
            trainer.save_checkpoint(str(trainer.global_step))
            self.last = time.monotonic()
