"""The limits of the machine, and the timing that all measurements here use."""

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch.nn import functional

CONVOLUTIONS = (  # batch, channels in and out, height and width; first the layers of a ResNet-20
    (128, 16, 32),
    (128, 32, 16),
    (128, 64, 8),
    (128, 64, 32),
    (64, 128, 32),
)
MATRICES = (512, 1024, 2048)
SLOW = 2.0  # GFLOP/s: an emulated type, for which one shape is enough
FLOATS = 2**25  # in the copied array, 128 MiB: no cache holds it
Measurement = TypeVar("Measurement")


def synchronize(device: str) -> None:
    """Waits until a GPU has finished its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(run: Callable[[], object], device: str = "cpu", repeats: int = 1) -> float:
    """Seconds of one run, by CUDA events on a GPU."""
    if device == "cuda":
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            run()
        stop.record()
        torch.cuda.synchronize()
        return start.elapsed_time(stop) / 1000 / repeats
    begin = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - begin) / repeats


def fastest(run: Callable[[], object], budget: float, device: str = "cpu") -> float:
    """Seconds of the fastest run after a first one, within `budget` seconds."""
    took = [seconds(run, device)]
    if took[0] < budget:
        took = [seconds(run, device)]
    while sum(took) < budget and len(took) < 1000:
        took.append(seconds(run, device))
    return min(took)


def spread(values: list[float]) -> dict[str, float]:
    """Smallest value, median and largest value."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def interleaved(
    ways: dict[str, Callable[[], Measurement]],
    rounds: int,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, list[Measurement]]:
    """The measurements of each way; a round goes through all ways, so that they share the load."""
    measured: dict[str, list[Measurement]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            measured[name].append(way())
            tick()
    return measured


def ratios(slow: list[float], quick: list[float]) -> dict[str, float]:
    """Time of the first over time of the second, round by round."""
    return spread([a / b for a, b in zip(slow, quick, strict=True)])


def matmul_rate(size: int, dtype: torch.dtype, device: str, budget: float) -> float:
    """GFLOP/s of a product of square matrices."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / fastest(lambda: a @ b, budget, device) / 1e9


def convolution_rate(
    shape: tuple[int, int, int], dtype: torch.dtype, device: str, budget: float
) -> float:
    """GFLOP/s of a 3 x 3 convolution, forward, channels last."""
    batch, channels, side = shape
    image = torch.randn(batch, channels, side, side, device=device).to(dtype)
    weight = torch.randn(channels, channels, 3, 3, device=device).to(dtype)
    image, weight = (t.to(memory_format=torch.channels_last) for t in (image, weight))
    with torch.no_grad():
        took = fastest(lambda: functional.conv2d(image, weight, padding=1), budget, device)
    return 2 * 9 * batch * channels**2 * side**2 / took / 1e9


def copy_rate(device: str, budget: float, floats: int = FLOATS) -> float:
    """GB/s read and written by a copy of a large array."""
    source = torch.ones(floats, device=device)
    target = torch.empty_like(source)
    return 2 * 4 * floats / fastest(lambda: target.copy_(source), budget, device) / 1e9


def limits(threads: int, *, quick: bool, device: str = "cpu") -> dict[str, object]:
    """Peak rates with a number of threads, each the best of several shapes, which are all kept."""
    budget, before = 0.02 if quick else 0.5, torch.get_num_threads()
    matrices, convolutions = (
        (shapes[:1] if quick else shapes) for shapes in (MATRICES, CONVOLUTIONS)
    )
    torch.set_num_threads(threads)
    peaks: dict[str, object] = {"threads": threads}
    try:
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
            for kind, shapes, rate in (
                ("matmul", matrices, matmul_rate),
                ("convolution", convolutions, convolution_rate),
            ):
                rates: dict[str, float] = {}
                for shape in shapes:
                    rates[str(shape)] = rate(shape, dtype, device, budget)
                    if rates[str(shape)] < SLOW:
                        break
                peaks[f"{kind}_{name}"] = {"best": max(rates.values()), "shapes": rates}
        peaks["copy"] = copy_rate(device, budget, FLOATS // (32 if quick else 1))
    finally:
        torch.set_num_threads(before)
    return peaks
