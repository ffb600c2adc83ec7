"""A short timed trial of which execution plan is fastest for a network on this machine."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from lightning.pytorch import Trainer

from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.plans import plans_on
from bvalign.ensemble.timing import seconds_per_step
from bvalign.ensemble.without_graph import counted_batches

BUDGET = 15.0
"""Seconds that the steps of a trial may take, roughly; a small network needs two."""
GAIN = 0.95
"""Another plan is chosen only if it takes less than this fraction of the time of `sequential`."""
LOOP = 0.8e-3
"""Seconds that Lightning's loop adds to each batch (2.6, one Zen 5 core)."""
LOOP_FRACTION = 0.05
"""Part of a step that the loop may take: steps under 16 ms come several in one batch."""
SHORT = 0.1
"""Seconds of a step below which plans are timed in turns: others may slow the machine down."""
TURNS = 3
TIMED, GLANCE = 0.2, 0.05
"""Seconds of steps by which a plan is timed, among others and where there is nothing to compare."""
SHARE = 0.2
"""Part of the training under `sequential` that a trial may take; another plan must save as much."""


class Choice(NamedTuple):
    """A plan and the reason for it; a run records it as `_asdict()`."""

    plan: str
    reason: str
    seconds: dict[str, float] = {}  # per training step of `members`, by plan
    refused: dict[str, str] = {}  # why another plan cannot run this network here
    members: int = 0  # in the trial; fewer than the pack where a step is slow
    steps_at_once: int = 1  # see `MemberSchedule`
    compiled: bool = False  # by torch.compile, as the user asked for
    untimed_steps: int = 0  # of a fit too short for a trial; a longer one times the plans after all


def choose_plan(
    module: Ensemble,
    pack: Sequence[int],
    batch_size: int,
    trainer: Trainer,
    *,
    steps: int | float = math.inf,
) -> Choice:
    """The plan that the user named, or the fastest of those that can run the network.

    A fit so short that the trial would take more than `SHARE` of it runs as `sequential`.

    Plans never differ in what they compute, so only time and memory matter.

    Args:
        module: says whether steps are whole ones on the device; it is left without a pack.
        pack: members to be trained side by side.
        batch_size: samples per member and step.
        trainer: gives device and precision; nothing is trained.
        steps: training steps of such packs in the whole fit.

    Raises:
        ValueError: the pack fits into memory under no plan, or the named one cannot run it.
    """
    wanted, members = module.plan, module.members
    device = trainer.strategy.root_device
    plans = [wanted] if wanted != "auto" else plans_on(device) if len(pack) > 1 else ["sequential"]
    if torch.are_deterministic_algorithms_enabled():
        reason = "deterministic runs do not time plans"
        return Choice(plans[0], reason, compiled=module.compiled)

    def timed(plan: str, members: Sequence[int], least: float) -> float:
        return seconds_per_step(module, plan, members, batch_size, trainer, least=least)

    try:
        choice = _trial(timed, plans, pack, steps)
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"one member does not fit into memory ({str(error).splitlines()[0]}); use a smaller "
            "--data.batch_size"
        ) from error
    finally:
        module.plan = wanted
        module.assign(members)
    steps_at_once = _steps_at_once(choice, len(pack), trainer)
    return choice._replace(steps_at_once=steps_at_once, compiled=module.compiled)


def _trial(
    timed: Callable[[str, Sequence[int], float], float],
    plans: Sequence[str],
    pack: Sequence[int],
    steps: int | float,
) -> Choice:
    """Times the plans that can be chosen.

    Args:
        timed: seconds of a training step of a plan and its members, from so many seconds of steps.
        plans: that the user allows.
        pack: members.
        steps: of the fit.
    """
    alone = timed("sequential", pack[:1], GLANCE)
    if alone > BUDGET / 15:
        reason = f"a step of one member takes {alone:.1f} s, its fixed cost does not matter"
        return Choice(plans[0], reason)
    # a first step and two more for each plan, and vmap may be several times slower
    part = pack[: max(2, int(BUDGET / (15 * alone)))]
    turns = TURNS if alone * len(part) < SHORT else 1
    trial = len(plans) * turns * max(TIMED, 3 * alone * len(part))
    too_short = len(plans) > 1 and trial > SHARE * alone * len(pack) * steps
    if too_short:
        plans = plans[:1]
    turns, least = (1, GLANCE) if len(plans) == 1 else (turns, TIMED)
    seconds, refused = dict.fromkeys(plans, math.inf), {}
    for plan in [*plans] * turns:
        if plan in refused:
            continue
        try:
            seconds[plan] = min(seconds[plan], timed(plan, part, least))
        except ValueError as error:
            if len(plans) == 1:
                raise
            refused[plan] = str(error)
        except torch.OutOfMemoryError as error:
            refused[plan] = str(error).splitlines()[0]
    seconds = {plan: took for plan, took in seconds.items() if plan not in refused}
    if not seconds:
        raise ValueError(
            f"{len(part)} members do not fit into memory ({refused[plans[0]]}); use a smaller "
            "--model.pack_size"
        )
    choice = _fastest(seconds, refused, len(part))
    if too_short:
        reason = f"{choice.reason}; the training is too short to time other plans"
        return choice._replace(reason=reason, untimed_steps=int(steps))
    return choice


def _fastest(seconds: dict[str, float], refused: dict[str, str], members: int) -> Choice:
    order = sorted(seconds, key=seconds.get)
    plan = order[0]
    if seconds[plan] > GAIN * seconds.get("sequential", float("inf")):
        plan = "sequential"
    times = ", ".join(f"{name} {1000 * seconds[name]:.3g}" for name in order)
    reason = f"ms per step of {members} members: {times}"
    reason += "".join(f"; not {name}" for name in refused)
    return Choice(plan, reason, seconds, refused, members)


def _steps_at_once(choice: Choice, pack_size: int, trainer: Trainer) -> int:
    """Steps per batch: one for a Trainer that counts batches, otherwise as many as pay off."""
    if counted_batches(trainer) or not choice.seconds:
        return 1
    step = choice.seconds[choice.plan] * pack_size / choice.members
    return min(64, math.ceil(LOOP / (LOOP_FRACTION * step)))
