"""Ctrl-C and SIGTERM: a stop after the batch, with everything saved."""

import signal
from types import FrameType, TracebackType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest(Callback):
    """Stops all ranks after the same batch when rank zero is asked to; asked twice, at once.

    Lightning passes rank zero's wish on to all ranks before each batch and raises SIGTERMException
    there, on which `CheckpointMembers` saves. Its own handler instead makes a collective call from
    within the signal, which meets another one. A test or a report that is running is finished.
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "StopRequest":
        self.before = {number: signal.getsignal(number) for number in SIGNALS}
        self._take()
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
        self._take()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self.asked and trainer.is_global_zero:
            trainer._signal_connector.received_sigterm = True

    def _take(self) -> None:
        """What a parent shell has told its background jobs to ignore stays ignored."""
        for number, before in self.before.items():
            if before is not signal.SIG_IGN:
                signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
