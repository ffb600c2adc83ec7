"""Which execution plan is fastest for a network on this machine, by a short timed trial."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from lightning.pytorch import Trainer

from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.plans import PLANS

BUDGET = 15.0
"""Seconds the steps of a trial may take, roughly; a small network needs one."""
GAIN = 0.95
"""Another plan must take less than this part of what `sequential` takes to be chosen."""


class Choice(NamedTuple):
    """A plan and what speaks for it; `_asdict` is what a run records."""

    plan: str
    reason: str
    seconds: dict[str, float]  # per training step of the pack, by plan
    refused: dict[str, str]  # why the other plans cannot run this network here
    members: int  # in the trial; fewer than the pack where a step is slow


class OutOfMemory(Exception):
    """A pack does not fit on the device."""


def choose_plan(module: Ensemble, batch_size: int, trainer: Trainer) -> Choice:
    """The plan that the user named, or the fastest of those that run the network.

    A plan never changes what is computed, so nothing but time and memory speaks for one. On a CPU
    all plans hold the activations of the whole pack, so memory is a matter of the pack size.

    Args:
        module: left without a pack.
        batch_size: samples per member and step.
        trainer: gives device and precision; nothing is trained.

    Raises:
        ValueError: the pack does not fit under any plan, or the named one cannot run the network.
    """
    members, plan = module.members[: module.pack_size], module.plan
    seconds: dict[str, float] = {}
    refused: dict[str, str] = {}
    count = len(members)
    if plan != "auto":
        choice = Choice(plan, "as asked for", {}, {}, 0)
    elif count == 1:
        choice = Choice("sequential", "a pack has one member", {}, {}, 0)
    elif trainer.deterministic:
        choice = Choice("sequential", "deterministic runs do not time plans", {}, {}, 0)
    else:
        try:
            alone = _timed(module, "sequential", members[:1], batch_size, trainer)
            # per plan a first step and two more, and vmap may be several times slower
            count = min(count, max(2, int(BUDGET / (9 * alone))))
            for name in PLANS if alone < BUDGET / 15 else ():
                try:
                    module.plan = name
                    seconds[name] = _timed(module, name, members[:count], batch_size, trainer)
                except (ValueError, OutOfMemory) as error:
                    refused[name] = str(error)
        finally:
            module.plan = plan
            module.assign(module.members)
    return choice


def _timed(
    module: Ensemble, plan: str, members: tuple[int, ...], batch_size: int, trainer: Trainer
) -> float:
    """Seconds per training step of a pack of `members`."""
