"""Measurements on a GPU, in order: correctness, single layers, whole steps, packs, a study.

Every function takes the device, so that tests can run it on a CPU too, without graphs and streams.
Times are those of CUDA events, the fastest of several runs after a first one.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from fits import run_fit
from layers import graphed, layers
from limits import copy_rate, fastest, limits, spread
from loops import PlanLoop
from torch import nn
from training import largest_difference, weights_after
from usual import usual_epoch
from workloads import Cifar10Size, Workload

from bvalign.ensemble.plans import plans_on

MEMBERS = 16
PACKS = (1, 2, 4, 8, 16, 32, 64)
STREAMS = 4
STUDY = (100, 20, 200)  # members, epochs measured, epochs that follow


def correctness(workload: Workload, device: str, steps: int = 3) -> dict[str, float]:
    """Largest difference of any network weight from `sequential` on the CPU in float64, by plan."""
    expected = weights_after(workload, "sequential", steps)
    return {
        plan: largest_difference(weights_after(workload, plan, steps, device), expected)
        for plan in plans_on(torch.device("cpu"))  # `triton` has no float64
    }


def _step(loop: PlanLoop) -> Callable[[], None]:
    batch = next(loop.endless)
    return lambda: loop.train(*batch)


def steps(workload: Workload, device: str, budget: float) -> dict[str, object]:
    """Milliseconds per member of a whole training step, and seconds of its first run."""
    rows: dict[str, dict[str, float]] = {}

    def measure(name: str, run: Callable[[], object], members: int) -> None:
        first = fastest(run, 0.0, device)
        rows[name] = {
            "milliseconds": 1000 * fastest(run, budget, device) / members,
            "first_seconds": first,
        }

    for bfloat16 in (False, True):
        kind, one = " bf16" if bfloat16 else "", replace(workload, pack=1)
        measure(
            f"eager{kind}", _step(PlanLoop(one, "sequential", bfloat16=bfloat16, device=device)), 1
        )
        for plan in ("packed", "vmap"):
            loop = PlanLoop(workload, plan, bfloat16=bfloat16, device=device)
            measure(f"{plan}{kind}", _step(loop), workload.pack)
        if device != "cuda":
            continue
        for plan, size in (("sequential", 1), ("packed", workload.pack)):
            loop = PlanLoop(replace(workload, pack=size), plan, bfloat16=bfloat16, device=device)
            measure(f"{plan} graphed{kind}", graphed(_step(loop), device), size)
            loop = PlanLoop(replace(workload, pack=size), plan, bfloat16=bfloat16, device=device)
            loop.module.pack.compile()
            measure(f"{plan} compiled{kind}", _step(loop), size)
        measure(f"graphs on {STREAMS} streams{kind}", _on_streams(one, bfloat16), STREAMS)
    loop = PlanLoop(workload, "packed", device=device)
    batch = 1000 * fastest(lambda: next(loop.endless), budget, device) / workload.pack
    return {"rows": rows, "batch_milliseconds": batch}


def _on_streams(one: Workload, bfloat16: bool) -> Callable[[], None]:
    streams = [torch.cuda.Stream() for _ in range(STREAMS)]
    loops = [PlanLoop(one, "sequential", bfloat16=bfloat16, device="cuda") for _ in streams]
    replays = [graphed(_step(loop), "cuda") for loop in loops]

    def run() -> None:
        current = torch.cuda.current_stream()
        for stream, replay in zip(streams, replays, strict=True):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                replay()
        for stream in streams:
            current.wait_stream(stream)

    return run


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


def study(members: int, epochs: int, later: int) -> dict[str, object]:
    """A whole `fit` on noise of CIFAR-10's size, which takes as long as CIFAR-10."""
    workload = Workload("resnet20_cifar", Cifar10Size, 128, members, 2, None, (epochs, epochs), 5)
    folder = Path(tempfile.mkdtemp(prefix="bvalign-throughput-"))
    try:
        more = {"trainer.accelerator": "gpu", "trainer.precision": "bf16-mixed"}
        took = run_fit(folder / "run", workload, "auto", epochs, more | {"model.pack_size": 20})
    finally:
        shutil.rmtree(folder)
    return {"members": members, "epochs": epochs, "seconds": took, "later": later}


def on_gpu(workload: Workload, *, rounds: int, tick: Callable[[], None]) -> dict[str, object]:
    """All measurements, in the order in which an error would show first."""
    torch.backends.cudnn.benchmark = True
    workload, device = replace(workload, pack=MEMBERS), "cuda"
    results: dict[str, object] = {"device": torch.cuda.get_device_name()}
    for name, run in (
        ("limits", lambda: limits(torch.get_num_threads(), quick=False, device=device)),
        ("correctness", lambda: correctness(replace(workload, pack=2, batch_size=8), device)),
        ("layers", lambda: layers(MEMBERS, workload.batch_size, device, 0.1)),
        ("steps", lambda: steps(workload, device, 0.5)),
        ("curve", lambda: pack_curve(workload, PACKS, device, 0.5)),
        ("kernels", lambda: kernels(workload)),
        ("usual", lambda: spread([usual_epoch(workload, 1, 4, device) for _ in range(rounds)])),
        ("study", lambda: study(*STUDY)),
    ):
        results[name] = run()
        tick()
    step_bytes = floor_bytes(workload)
    results["floor_milliseconds"] = step_bytes / copy_rate(device, 0.5) / 1e6
    results["usual_milliseconds"] = (
        1000 * results["usual"]["median"] * workload.batch_size / workload.num_train
    )
    return results
