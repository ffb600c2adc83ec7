"""Ctrl-C, SIGTERM, SIGUSR1 and `trainer.should_stop`: a stop after the batch, and all is saved."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from bvalign.ensemble.saving import suspects

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
BATCHES = 8
"""Batches between two looks at the other ranks: a collective call costs more than a short step."""


@contextmanager
def signals_to(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Handles the signals that ask for a stop, but for those that a parent or a library handles.

    A shell has its background jobs ignore some.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in ours:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in ours.items():
            signal.signal(number, old)


def keep_lightning_from_signals(trainer: Trainer) -> None:
    """Leaves signals to us; a Trainer would handle some in its own way, and ask about them.

    Its handler of SIGTERM makes a collective call, which can meet another one, and rank zero then
    stops without the others; so it asks all ranks before every batch. Under SLURM, that of SIGUSR1
    saves a checkpoint of the Trainer's own and requeues the job.
    """
    trainer._signal_connector.register_signal_handlers = lambda: None
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None


class StopRequest(Callback):
    """Stops all ranks after the same batch when one of them is asked to, at once if asked twice.

    A callback asks by `trainer.should_stop`, which Lightning itself would take for the end of the
    training of all members. It raises SIGTERMException, on which `CheckpointMembers` saves. A test
    in progress is finished first.
    """

    def __init__(self) -> None:
        self.asked = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

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
