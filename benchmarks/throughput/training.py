"""Member-steps per second of every way to train, and the plan that the trial chooses."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from lightning.pytorch import Trainer
from limits import fastest, interleaved, ratios, spread
from limits import seconds as seconds_of
from loops import PlainLoop, PlanLoop
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from usual import usual_epoch
from workloads import Workload

from bvalign.ensemble.plans import plans_on
from bvalign.ensemble.trial import choose_plan
from bvalign.ensemble.without_graph import why_usual_steps

SECONDS = 0.4  # of each way in a round
COMPILED = "sequential compiled"
GPU = {"accelerator": "gpu", "devices": 1, "precision": "bf16-mixed", "benchmark": True}
"""The Trainer of the configurations that are for a GPU."""
HERE = plans_on(torch.device("cpu"))  # `triton` has no float64 and needs a GPU


def step_flops(workload: Workload) -> int:
    """Floating point operations of one step of one member, forward and backward."""
    loop = PlainLoop(workload)
    with FlopCounterMode(display=False) as counter:
        loop.step()
    return counter.get_total_flops()


def convolution_share(workload: Workload) -> float:
    """Share of convolutions in a step of `sequential`, forward and backward."""
    step = PlanLoop(workload, "sequential").step
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    took = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    return sum(t for name, t in took.items() if "convolution" in name) / sum(took.values())


def bfloat16_pays(workload: Workload, budget: float) -> dict[str, object]:
    """Seconds of a step of one pack in bf16 and in float32, and a comparison of the two."""
    took = {
        name: fastest(PlanLoop(workload, "sequential", bfloat16=half).step, budget)
        for name, half in (("float32", False), ("bfloat16", True))
    }
    return {"seconds": took, "pays": took["bfloat16"] < took["float32"]}


def plan_differences(workload: Workload, device: str = "cpu", steps: int = 3) -> dict[str, float]:
    """Largest difference of any network weight from `sequential` on the CPU in float64, by plan.

    With two members and eight samples, as convolutions in float64 are slow.
    """
    workload = replace(workload, pack=2, batch_size=min(8, workload.batch_size))
    expected, differences = weights_after(workload, "sequential", steps), {}
    for plan in HERE:
        if (plan, device) != ("sequential", "cpu"):
            found = weights_after(workload, plan, steps, device)
            differences[plan] = largest_difference(found, expected)
    return differences


def weights_after(
    workload: Workload, plan: str, steps: int, device: str = "cpu", **options: object
) -> list[torch.Tensor]:
    """The network weights of all members after some steps, in float64 unless `options` say so.

    They are further arguments of `PlanLoop`.
    """
    loop = PlanLoop(workload, plan, device=device, **{"dtype": torch.float64} | options)
    for _ in range(steps):
        loop.step()
    return weights_of(loop)


def weights_of(loop: PlanLoop) -> list[torch.Tensor]:
    """The network weights of all members."""
    pack = loop.module.pack
    return [weight.cpu() for m in pack.members for weight in pack.network_weights(m).values()]


def largest_difference(some: list[torch.Tensor], others: list[torch.Tensor]) -> float:
    """Largest absolute difference of corresponding tensors."""
    return max(float((a - b).abs().max()) for a, b in zip(some, others, strict=True))


def chosen(workload: Workload, device: str = "cpu") -> dict[str, object]:
    """The choice of `auto`, made as in a long `fit`; on a GPU with the options of `GPU`."""
    options = {"accelerator": "cpu"} if device == "cpu" else GPU
    trainer = Trainer(
        **options, logger=False, enable_checkpointing=False, max_epochs=workload.epochs[1]
    )
    module = workload.module("auto")
    module.drawn = why_usual_steps(module, workload.datamodule(), trainer) is None
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
    """Member-steps per second of every way to train one workload, in interleaved rounds.

    Args:
        workload: network and data.
        peak: peak GFLOP/s of the machine with the threads of the workload, by number type.
        rounds: number of measurements of each way.
        seconds: approximate time of a way in a round.
        compiled: also `sequential` through torch.compile, whose first step is not timed.
        tick: called after each measurement.
    """
    torch.set_num_threads(workload.threads)
    flops, half = step_flops(workload), bfloat16_pays(workload, seconds / 2)
    ways, refused = _ways(workload, seconds, bfloat16=half["pays"])
    first_seconds = None
    if compiled:
        ways[COMPILED], first_seconds = _compiled(workload, seconds)
    choice = chosen(workload)
    rows = _rows(interleaved(ways, rounds, tick), flops, peak)
    speed = {name: row["steps_per_second"]["median"] for name, row in rows.items()}
    best = max(speed[plan] for plan in HERE if plan in speed)
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
        "auto_of_best": speed[choice["plan"]] / best,
        "difference_float64": plan_differences(workload),
    }


def _rows(
    took: dict[str, list[float]], flops: int, peak: dict[str, float]
) -> dict[str, dict[str, object]]:
    return {
        name: {
            "steps_per_second": spread([1 / t for t in times]),
            "over_lightning": ratios(took["Lightning"], times),
            "over_plain_loop": ratios(took["plain loop"], times),
            "of_peak": flops / spread(times)["median"] / 1e9 / peak[_dtype(name)],
        }
        for name, times in took.items()
    }


def _ways(
    workload: Workload, seconds: float, *, bfloat16: bool
) -> tuple[dict[str, Callable[[], float]], dict[str, str]]:
    """The ways to train, each a measurement of seconds per member-step, and the refused plans."""
    steps_per_epoch = len(PlanLoop(workload, "sequential").batches)
    ways = {
        "Lightning": lambda: usual_epoch(workload, 1, 3) / steps_per_epoch,
        "plain loop": _per_step(PlainLoop(workload).step, 1, seconds),
    }
    refused: dict[str, str] = {}
    for plan in HERE:
        for half in (False, True) if bfloat16 else (False,):
            try:
                step = PlanLoop(workload, plan, bfloat16=half).step
            except ValueError as error:
                refused[plan] = str(error)
                continue
            ways[f"{plan} bf16" if half else plan] = _per_step(step, workload.pack, seconds)
    return ways, refused


def _compiled(workload: Workload, seconds: float) -> tuple[Callable[[], float], float]:
    """A measurement of `sequential` through torch.compile, and the seconds of its first step."""
    step = PlanLoop(workload, "sequential", compiled=True).step
    first_seconds = seconds_of(step)
    return _per_step(step, workload.pack, seconds), first_seconds


def _dtype(way: str) -> str:
    return "bfloat16" if way.endswith("bf16") else "float32"


def _per_step(step: Callable[[], None], members: int, budget: float) -> Callable[[], float]:
    """A measurement of seconds per member-step, over as many steps as fill the budget, or two."""
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
