"""Measurements on a GPU, in order: correctness, whole fits, and what binds them.

What binds: single layers, steps, the size of packs, the slowest kernels.
Every function takes the device, so that tests can run it on a CPU too. Times of layers and steps
are those of CUDA events, the fastest of several runs after a first one.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from fits import seconds_per_epoch, timed_fit
from layers import layers
from limits import copy_rate, fastest, interleaved, limits, ratios, spread, synchronize
from loops import PlanLoop
from torch import nn
from training import GPU, chosen, plan_differences
from usual import usual_epoch
from workloads import Workload

from bvalign.ensemble.plans import plans_on
from bvalign.randomness import Streams

PACK = 16
PACKS = (1, 2, 4, 8, 16, 32, 64)
WORKERS = (0, 8)
"""Processes that prepare the samples of the usual loop, each number measured."""


def whole_fits(
    workload: Workload,
    device: str,
    *,
    rounds: int,
    workers: tuple[int, ...] = WORKERS,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, object]:
    """Seconds per epoch of all members: `fit`, and the usual loop times the members.

    Start-up is subtracted as in fits.py, and reported. `fit` is that of the configurations for a
    GPU, in bf16 there, with the plan that `auto` takes for a longer training, and all members in
    one pack; the usual loop is Lightning's default.
    """
    first, epochs = workload.epochs
    folder = Path(tempfile.mkdtemp(prefix="bvalign-throughput-"))
    besides: list[float] = []
    plan = chosen(workload, device)
    options = {"trainer.accelerator": "cpu"}
    if device == "cuda":
        options = {f"trainer.{name}": value for name, value in GPU.items()}
        torch.cuda.empty_cache()  # the fit is another process

    def fit() -> float:
        whole, begun = timed_fit(folder, workload, plan["plan"], options)
        besides.append(whole - epochs * seconds_per_epoch(begun, 0, epochs))
        return seconds_per_epoch(begun, first, epochs)

    def usual(number: int) -> Callable[[], float]:
        return lambda: workload.pack * usual_epoch(workload, first, epochs, device, number)

    ways = {_usual(number): usual(number) for number in workers}
    try:
        took = interleaved({"fit": fit} | ways, rounds, tick)
        in_force = json.loads((folder / "run" / "run.json").read_text())["plans"][-1]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    steps = workload.datamodule().steps_per_epoch(Streams())
    return {
        "members": workload.pack,
        "epochs": list(workload.epochs),
        "data": workload.data.name,
        "plan": plan | {"graph": in_force["graph"]},
        "seconds_per_epoch": {name: spread(times) for name, times in took.items()},
        "seconds_besides_epochs": spread(besides),
        "milliseconds": 1000 * spread(took["fit"])["median"] / (steps * workload.pack),
        "over_lightning": {name: ratios(took[name], took["fit"]) for name in ways},
    }


def _usual(workers: int) -> str:
    return f"Lightning, {workers} workers"


def _step(loop: PlanLoop) -> Callable[[], None]:
    batch = next(loop.endless)
    return lambda: loop.train(*batch)


def steps(workload: Workload, device: str, budget: float) -> dict[str, object]:
    """Milliseconds per member of a whole training step, and seconds until it has run once.

    `whole` steps are those of `fit` on an accelerator, a CUDA graph for each member of `sequential`
    and one for the pack of the others. On a GPU also through torch.compile. Plans that refuse the
    network are left out.
    """
    rows: dict[str, dict[str, float]] = {}

    def measure(name: str, plan: str, *, whole: bool = False, **options: bool) -> None:
        begin = time.perf_counter()
        with suppress(ValueError):
            loop = PlanLoop(workload, plan, device=device, **options)
            run = partial(loop.whole_steps(), 1) if whole else _step(loop)
            run()
            synchronize(device)
            first = time.perf_counter() - begin
            took = 1000 * fastest(run, budget, device) / workload.pack
            rows[name] = {"milliseconds": took, "first_seconds": first}

    for half in (False, True):
        kind = " bf16" if half else ""
        for plan in plans_on(torch.device(device)):
            measure(f"{plan}{kind}", plan, bfloat16=half)
            measure(f"{plan} whole{kind}", plan, bfloat16=half, whole=True)
            if device == "cuda":
                measure(f"{plan} compiled{kind}", plan, bfloat16=half, compiled=True)
    loop = PlanLoop(workload, "packed", device=device)
    batch = 1000 * fastest(lambda: next(loop.endless), budget, device) / workload.pack
    return {"rows": rows, "batch_milliseconds": batch}


def pack_curve(
    workload: Workload, packs: tuple[int, ...], device: str, budget: float
) -> list[dict[str, float]]:
    """Milliseconds per member-step and peak memory of packed training, by size of the pack."""
    rows = []
    for size in packs:
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            loop = PlanLoop(replace(workload, pack=size), "packed", bfloat16=True, device=device)
            took = fastest(_step(loop), budget, device)
        except torch.OutOfMemoryError:
            break
        row = {"members": size, "milliseconds": 1000 * took / size}
        if device == "cuda":
            row["peak_bytes"] = torch.cuda.max_memory_allocated()
        rows.append(row)
    return rows


def floor_bytes(workload: Workload, width: int = 2) -> int:
    """The least traffic of a step of one member, with everything fused into its convolutions.

    Forward reads a convolution's input and writes its output; backward reads the input, reads the
    output's gradient twice and writes the input's. `width` is bytes per number, 2 for bf16.
    """
    network = workload.module("sequential").initial_network(0)
    sizes: list[int] = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(
                lambda _, inputs, output: sizes.append(3 * (inputs[0].numel() + output.numel()))
            )
    with torch.no_grad():
        network(torch.zeros(1, *workload.data.image_shape))
    return width * workload.batch_size * sum(sizes)


def kernels(workload: Workload) -> list[dict[str, object]]:
    """The kernels that take most of the time of a packed step."""
    step = _step(PlanLoop(workload, "packed", bfloat16=True, device="cuda"))
    step()
    with torch.profiler.profile() as profile:
        step()
        torch.cuda.synchronize()
    events = [e for e in profile.key_averages() if e.self_device_time_total > 0]
    total = sum(e.self_device_time_total for e in events)
    events.sort(key=lambda e: -e.self_device_time_total)
    return [{"kernel": e.key, "share": e.self_device_time_total / total} for e in events[:5]]


def on_gpu(workload: Workload, *, rounds: int, tick: Callable[[], None]) -> dict[str, object]:
    """All measurements, in the order in which an error would show first."""
    torch.backends.cudnn.benchmark = True
    pack, device = replace(workload, pack=PACK), "cuda"
    results: dict[str, object] = {"device": torch.cuda.get_device_name()}
    for name, run in (
        ("limits", lambda: limits(torch.get_num_threads(), quick=False, device=device)),
        ("correctness", lambda: plan_differences(pack, device)),
        ("fits", lambda: whole_fits(workload, device, rounds=rounds, tick=tick)),
        ("layers", lambda: layers(PACK, workload.batch_size, device, 0.05)),
        ("steps", lambda: steps(pack, device, 0.5)),
        ("curve", lambda: pack_curve(pack, PACKS, device, 0.5)),
        ("kernels", lambda: kernels(pack)),
    ):
        results[name] = run()
        tick()
    step_bytes = floor_bytes(workload)
    results["floor_milliseconds"] = step_bytes / copy_rate(device, 0.5) / 1e6
    return results
