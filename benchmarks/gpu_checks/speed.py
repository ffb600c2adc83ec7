"""A whole fit of ResNet-20 against the usual Lightning loop, by benchmarks/throughput."""

from dataclasses import replace

import gpu
from gpu_checks.outcome import Found, Setting, require
from workloads import QUICK, gpu_workload

GOALS = (25, 12)
"""Times the usual loop without workers and with eight, of benchmarks/throughput."""


def speed(setting: Setting) -> Found:
    """The second epoch of 20 members and of the usual loop; a missed goal is said, no failure."""
    if setting.quick:
        workload, workers = QUICK["resnet8"], (0, 2)
    else:
        workload, workers = replace(gpu_workload(), epochs=(1, 2)), gpu.WORKERS
    found = gpu.whole_fits(workload, setting.device, rounds=1, workers=workers)
    ratios = [ratio["median"] for ratio in found["over_lightning"].values()]
    said = [
        f"{ratio:.1f}x the usual loop with {number} workers (goal {goal}x)"
        for ratio, number, goal in zip(ratios, workers, GOALS, strict=True)
    ]
    plan, took = found["plan"], found["milliseconds"]
    says = f"{', '.join(said)}; {plan['plan']}, graphs {plan['graph']}, {took:.3f} ms per step"
    require(setting.quick or min(ratios) > 1, f"slower than the usual loop: {says}", found)
    return Found(says, found)
