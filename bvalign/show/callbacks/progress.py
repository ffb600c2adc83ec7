"""A progress bar over the whole ensemble: members done, epoch, time left."""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import Progress

from bvalign.show.progress_bar import progress

SECONDS_BETWEEN_LINES = 30


class MembersProgress(ProgressBar):
    """Replaces Lightning's bar, which starts anew for every pack.

    On a terminal it is one bar on standard error; elsewhere it prints a line per pack, and one
    every 30 seconds within a pack.

    Args:
        num_members: M, of the whole ensemble.
    """

    def __init__(self, num_members: int) -> None:
        super().__init__()
        self.num_members, self.members_done, self.in_wave = num_members, 0, 0
        self.remaining: int | None = None  # members left when this process started
        self.console = Console(file=sys.stderr)
        self.bar: Progress | None = None
        self.steps = 0  # member-steps done by this process
        self.started = self.last_line = time.monotonic()
        self.accuracy: float | None = None  # of the finished members, else of those in training

    def start_wave(self, members_done: int, in_wave: int) -> None:
        """Begins a wave.

        Args:
            members_done: members finished so far, by any process.
            in_wave: members that are trained now.
        """
        self.members_done, self.in_wave = members_done, in_wave
        if self.remaining is None:
            self.remaining = self.num_members - members_done

    def disable(self) -> None:
        """Silences the bar; Lightning calls this on every rank but zero."""
        self.console.quiet = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.total = self.remaining * trainer.estimated_stepping_batches
        if self.bar is None and self.console.is_terminal:
            self.bar = progress(self.console)
            self.task = self.bar.add_task(self._text(trainer), total=self.total)
            self.bar.start()
        elif not self.console.is_terminal:
            self._line(trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.steps += self.in_wave
        if self.bar is not None:
            self.bar.update(self.task, completed=self.steps)
        elif time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self._line(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.bar is not None:
            self.bar.update(self.task, description=self._text(trainer))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.members_done == 0 and "val/accuracy" in trainer.callback_metrics:
            self.accuracy = float(trainer.callback_metrics["val/accuracy"])

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.members_done += self.in_wave
        if "test/accuracy" in trainer.callback_metrics:  # a new Trainer for the next pack has none
            self.accuracy = float(trainer.callback_metrics["test/accuracy"])
        if self.bar is not None:
            self.bar.update(self.task, description=self._text(trainer))
        else:
            self._line(trainer)

    def close(self) -> None:
        """Stops the bar, also after an interrupt."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _text(self, trainer: Trainer) -> str:
        epoch = min(trainer.current_epoch + 1, trainer.max_epochs or 1)
        done = f"{self.members_done}/{self.num_members} members"
        so_far = "" if self.accuracy is None else f" · accuracy {self.accuracy:.3f}"
        return f"{done} · epoch {epoch}/{trainer.max_epochs}{so_far}"

    def _line(self, trainer: Trainer) -> None:
        self.last_line = time.monotonic()
        left = ""
        if self.steps:
            rate = (self.last_line - self.started) / self.steps
            seconds = round(rate * (self.total - self.steps))
            left = f" · about {seconds // 60}:{seconds % 60:02d} left"
        self.console.print(self._text(trainer) + left, highlight=False)
