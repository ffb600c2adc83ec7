"""Member-steps per second of every way to train, and which plan the trial chooses."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from lightning.pytorch import Trainer
from limits import fastest, interleaved, ratios, spread
from limits import seconds as seconds_of
from loops import PlainLoop, PlanLoop, usual_epoch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from workloads import Workload

from bvalign.ensemble.plans import PLANS
from bvalign.ensemble.trial import choose_plan

SECONDS = 0.4  # of a way in a round
COMPILED = "sequential compiled"


def step_flops(workload: Workload) -> int:
    """Floating point operations of one step of one member, forward and backward."""
    loop = PlainLoop(workload)
    with FlopCounterMode(display=False) as counter:
        loop.step()
    return counter.get_total_flops()


def convolution_share(workload: Workload) -> float:
    """Part of a step of `sequential`, forward and backward, that is in convolutions."""
    step = PlanLoop(workload, "sequential").step
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    took = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    return sum(t for name, t in took.items() if "convolution" in name) / sum(took.values())


def bfloat16_pays(workload: Workload, budget: float) -> dict[str, object]:
    """Whether a step of one pack in bf16 takes less time than in float32."""
    took = {
        name: fastest(PlanLoop(workload, "sequential", bfloat16=half).step, budget)
        for name, half in (("float32", False), ("bfloat16", True))
    }
    return {"seconds": took, "pays": took["bfloat16"] < took["float32"]}


def plan_difference(workload: Workload, steps: int = 3) -> dict[str, float]:
    """Largest difference of any weight from `sequential` after steps in float64, by plan.

    Of two members and eight samples: convolutions in float64 are slow.
    """
    workload = replace(workload, pack=2, batch_size=8)
    weights: dict[str, list[torch.Tensor]] = {}
    for plan in PLANS:
        loop = PlanLoop(workload, plan, dtype=torch.float64)
        for _ in range(steps):
            loop.step()
        pack = loop.module.pack
        weights[plan] = [w for m in pack.members for w in pack.network_weights(m).values()]
    reference = weights.pop("sequential")
    return {
        plan: max(float((a - b).abs().max()) for a, b in zip(found, reference, strict=True))
        for plan, found in weights.items()
    }


def chosen(workload: Workload) -> dict[str, object]:
    """What `auto` says, as `fit` asks it."""
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, max_epochs=workload.epochs[1]
    )
    module = workload.module("auto")
    return choose_plan(module, module.members, workload.batch_size, trainer)._asdict()


def rates(
    workload: Workload,
    peak: dict[str, float],
    *,
    rounds: int,
    seconds: float,
    compiled: bool,
    tick: Callable[[], None],
) -> dict[str, object]:
    """Every way to train one workload, in interleaved rounds.

    Args:
        workload: network and data.
        peak: GFLOP/s that the machine reaches at most with its threads, by number type.
        rounds: how often each is measured.
        seconds: roughly, of a way in a round.
        compiled: also `sequential` through torch.compile, whose first step is no part of a rate.
        tick: called after each measurement.
    """
    torch.set_num_threads(workload.threads)
    flops, half = step_flops(workload), bfloat16_pays(workload, seconds / 2)
    steps_per_epoch = len(PlanLoop(workload, "sequential").batches)
    ways = {
        "Lightning": lambda: usual_epoch(workload, 1, 3) / steps_per_epoch,
        "plain loop": _per_step(PlainLoop(workload).step, 1, seconds),
    }
    refused: dict[str, str] = {}
    for plan in PLANS:
        for bfloat16 in (False, True) if half["pays"] else (False,):
            try:
                step = PlanLoop(workload, plan, bfloat16=bfloat16).step
            except ValueError as error:
                refused[plan] = str(error)
                continue
            name = f"{plan} bf16" if bfloat16 else plan
            ways[name] = _per_step(step, workload.pack, seconds)
    first_seconds = None
    if compiled:
        step = PlanLoop(workload, "sequential", compiled=True).step
        first_seconds = seconds_of(step)
        ways[COMPILED] = _per_step(step, workload.pack, seconds)
    choice = chosen(workload)
    found = interleaved(ways, rounds, tick)
    rows = {
        name: {
            "steps_per_second": spread([1 / t for t in times]),
            "over_lightning": ratios(found["Lightning"], times),
            "over_plain_loop": ratios(found["plain loop"], times),
            "of_peak": flops / spread(times)["median"] / 1e9 / peak[_dtype(name)],
        }
        for name, times in found.items()
    }
    speed = {name: row["steps_per_second"]["median"] for name, row in rows.items()}
    return {
        "pack": workload.pack,
        "batch_size": workload.batch_size,
        "threads": workload.threads,
        "flops": flops,
        "peak": peak,
        "bfloat16": half,
        "convolution_share": convolution_share(workload),
        "compile_seconds": first_seconds,
        "rows": rows,
        "refused": refused,
        "auto": choice,
        "auto_of_best": speed[choice["plan"]] / max(speed[plan] for plan in PLANS if plan in speed),
        "difference_float64": plan_difference(workload),
    }


def _dtype(way: str) -> str:
    return "bfloat16" if way.endswith("bf16") else "float32"


def _per_step(step: Callable[[], None], members: int, budget: float) -> Callable[[], float]:
    """A measurement of seconds per member-step: as many steps as fill the budget, two at least."""
    step()
    start = time.perf_counter()
    step()
    count = max(2, int(budget / (time.perf_counter() - start)))

    def run() -> float:
        begin = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - begin) / (count * members)

    return run
