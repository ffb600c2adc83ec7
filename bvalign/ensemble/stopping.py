"""Ctrl-C, SIGTERM and `trainer.should_stop`: a stop after the batch, with everything saved."""

import signal
from types import FrameType, TracebackType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from bvalign.ensemble.saving import suspects

SIGNALS = (signal.SIGINT, signal.SIGTERM)
BATCHES = 8
"""Batches between two looks at the other ranks: a collective call costs more than a short step."""


class StopRequest(Callback):
    """Stops all ranks after the same batch when one of them is asked to, at once if asked twice.

    A callback asks by `trainer.should_stop`, which Lightning itself would take for the end of the
    training of all members. It raises SIGTERMException, on which `CheckpointMembers` saves.
    Lightning's own handler makes a collective call inside the signal handler, which can meet
    another one, and rank zero then stops without the others. A test in progress is finished first.
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "StopRequest":
        self.before = {number: signal.getsignal(number) for number in SIGNALS}
        self._install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._install()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._install()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = batch_idx + 1
        alone = trainer.world_size == 1
        if done < trainer.num_training_batches and (alone or done % BATCHES == 0):
            self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch + 1 != trainer.max_epochs:
            self._stop_if_asked(trainer)

    def _stop_if_asked(self, trainer: Trainer) -> None:
        ended = trainer.should_stop and trainer.fit_loop._can_stop_early
        if trainer.strategy.reduce_boolean_decision(self.asked or ended, all=False):
            epoch = f"in epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
            raise SIGTERMException(
                f"{suspects(trainer)} stopped training {epoch}; " if ended else ""
            )

    def _install(self) -> None:
        """Handles the signals, unless a parent shell has its background jobs ignore them."""
        for number, before in self.before.items():
            if before is not signal.SIG_IGN:
                signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
