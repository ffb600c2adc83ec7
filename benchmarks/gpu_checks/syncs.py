"""The host never waits for the GPU in a training step of a fit."""

import traceback
from collections.abc import Callable

import torch
from gpu_checks.outcome import CheckError, Found, Setting, require
from gpu_checks.runs import fit_here
from lightning.pytorch import LightningModule

from bvalign import Ensemble

STEPS = 20
FIRST = 2
"""The batch from which steps are watched: graphs are captured in the first one."""


class Watch:
    """Makes synchronizing an error for some steps of the first epoch of a fit.

    It wraps `training_step` and is no callback, because a fit with callbacks of a user that look at
    batches takes no graphs.

    Args:
        switch: takes `error` and `default`.
    """

    def __init__(self, switch: Callable[[str], None]) -> None:
        self.switch, self.steps, self.on = switch, 0, False

    def before(self, module: LightningModule, batch: object, batch_idx: int) -> None:
        """Switches on before a batch, and off before a later one; counts the steps between."""
        last = batch_idx == module.trainer.num_training_batches - 1
        if self.on and (last or self.steps >= STEPS):
            self.close()
        elif batch_idx == FIRST and not self.steps:
            self.on = True
            self.switch("error")
        if self.on:
            self.steps += batch if isinstance(batch, int) else module.steps_at_once

    def close(self) -> None:
        """Switches off."""
        self.on = False
        self.switch("default")


def syncs(setting: Setting) -> Found:
    """Trains in this process, with everything that `fit` puts around a step."""
    watch = Watch(torch.cuda.set_sync_debug_mode if setting.device == "cuda" else lambda _: None)
    numbers = {}
    for plan in ("packed", "sequential"):
        watch.steps = 0
        watched_fit(setting, watch, plan)
        numbers[plan] = watch.steps
        require(watch.steps >= STEPS, f"{plan}: only {watch.steps} steps were watched", numbers)
    return Found(f"{watch.steps} steps without waiting", numbers)


def watched_fit(setting: Setting, watch: Watch, plan: str) -> None:
    """Runs `bvalign fit` with a watch on its steps.

    Raises:
        CheckError: the fit ended early; names the line.
    """
    training_step = Ensemble.training_step

    def watched(self: Ensemble, batch: object, batch_idx: int) -> object:
        if self._trainer is not None:  # it has none in the trial of plans
            watch.before(self, batch, batch_idx)
        return training_step(self, batch, batch_idx)

    root = setting.folder / f"syncs-{plan}"
    size = ("--data.num_train=800", "--data.batch_size=4")
    if not setting.quick:
        size = ("--data=workloads.Cifar10Size", "--data.batch_size=16")
    more = (f"--model.plan={plan}", "--trainer.max_epochs=1", "--data.num_test=100")
    Ensemble.training_step = watched
    try:
        fit_here(setting, root, *size, *more)
    except RuntimeError as error:
        traceback.print_exc()
        raise CheckError(f"{plan}: {place(error)}: {str(error).splitlines()[0]}") from error
    finally:
        watch.close()
        Ensemble.training_step = training_step


def place(error: BaseException) -> str:
    """The innermost line of an error in bvalign or Lightning."""
    lines = [
        f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno} `{frame.line}`"
        for frame in traceback.extract_tb(error.__traceback__)
        if {"bvalign", "lightning"} & {*frame.filename.split("/")}
    ]
    return lines[-1]
