"""Training steps of every plan against those of the CPU, on the loops of benchmarks/throughput."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from gpu_checks.outcome import Found, NotHereError, Setting, require
from jaxtyping import Float64
from loops import PlanLoop
from torch import Tensor
from training import HERE, largest_difference, plan_differences, weights_after, weights_of
from workloads import QUICK, WORKLOADS, Workload

FLOAT64 = 1e-8
"""Largest difference of a weight after three steps in float64; 1e-13 on a CPU."""
BF16 = 0.2
"""Largest relative error of the update of one step in bf16; 0.03 on a CPU."""
FLOAT32 = 0.02
"""The same in float32, also with TF32."""
REPLAYED = 1e-6
"""Largest difference of a weight after four steps in float64; on a GPU whole steps take the
learning rate in float32, which alone makes 1e-9."""


def parity(setting: Setting) -> Found:
    """The weights of all plans after three steps in float64 are those of the CPU."""
    differences = {}
    for name, workload in _workloads(setting):
        found = plan_differences(workload, setting.device)
        differences |= {f"{plan}, {name}": value for plan, value in found.items()}
    return _within(differences, FLOAT64, "weights differ from the CPU's by")


def bf16(setting: Setting) -> Found:
    """One step of each plan in bf16 changes the weights nearly as one in float32."""
    return _within(
        {
            f"{plan}, {name}": relative_difference(workload, setting, plan, bfloat16=True)
            for name, workload in _workloads(setting)
            for plan in HERE  # triton has a check of its own
        },
        BF16,
        "the update of a step in bf16 is off by",
    )


def compiled(setting: Setting) -> Found:
    """Three steps through torch.compile give the weights of the CPU without it."""
    (name, workload), *_ = reversed([*_workloads(setting)])
    workload = replace(workload, pack=2, batch_size=min(8, workload.batch_size))
    expected, differences = weights_after(workload, "sequential", 3), {}
    for plan in ("sequential", "packed"):
        found = weights_after(workload, plan, 3, setting.device, compiled=True)
        differences[f"{plan}, {name}"] = largest_difference(found, expected)
    return _within(differences, FLOAT64, "compiled, weights differ by")


def triton(setting: Setting) -> Found:
    """A step of plan triton changes the weights as one of packed does; so do whole steps."""
    if setting.device == "cpu":
        raise NotHereError("Triton needs a GPU")
    if torch.cuda.get_device_capability() < (8, 0):
        raise NotHereError("the plan needs a GPU of compute capability 8.0")
    (name, workload), *_ = reversed([*_workloads(setting)])
    exact = relative_difference(workload, setting, "triton", bfloat16=False)
    _within({f"float32, {name}": exact}, FLOAT32, "the update of a step is off by")
    half = relative_difference(workload, setting, "triton", bfloat16=True)
    whole = whole_difference(replace(workload, pack=2), setting, "triton")
    errors = {f"bf16, {name}": half, f"whole steps in bf16, {name}": whole}
    found = _within(errors, BF16, "the update of a step is off by")
    return Found(found.says, errors | {f"float32, {name}": exact})


def replay(setting: Setting) -> Found:
    """Four whole steps on the device, graphs where it has them, give the weights of usual ones."""
    differences, errors = {}, {}
    for name, workload in _workloads(setting):
        small = replace(workload, pack=2, batch_size=min(8, workload.batch_size))
        for plan in ("sequential", "packed"):
            exact, found = (
                weights_of(trained(small, setting, plan, 4, whole=whole, dtype=torch.float64))
                for whole in (False, True)
            )
            differences[f"{plan}, {name}"] = largest_difference(found, exact)
            errors[f"bf16, {plan}, {name}"] = whole_difference(small, setting, plan)
    _within(errors, BF16 / 10, "the update of four whole steps in bf16 is off by")
    found = _within(differences, REPLAYED, "weights after whole steps differ by")
    return Found(found.says, differences | errors)


def whole_difference(workload: Workload, setting: Setting, plan: str) -> float:
    """Difference of four whole steps in bf16 from usual ones, as a fraction of their update."""
    usual, found, start = (
        parameters(trained(workload, setting, plan, steps, whole=whole, bfloat16=True))
        for steps, whole in ((4, False), (4, True), (0, False))
    )
    return float((found - usual).norm() / (usual - start).norm())


def relative_difference(
    workload: Workload, setting: Setting, plan: str, *, bfloat16: bool
) -> float:
    """Error of the update of the first step, as a fraction of the update by `packed` in float64."""
    workload = replace(workload, pack=2)
    start, exact = (
        parameters(trained(workload, setting, "packed", steps, dtype=torch.float64))
        for steps in (0, 1)
    )
    found = parameters(trained(workload, setting, plan, 1, bfloat16=bfloat16))
    return float((found - exact).norm() / (exact - start).norm())


def trained(
    workload: Workload,
    setting: Setting,
    plan: str,
    steps: int,
    *,
    whole: bool = False,
    **options: object,
) -> PlanLoop:
    """A loop on the device after some steps, whole or usual ones; `options` are of `PlanLoop`."""
    loop = PlanLoop(workload, plan, device=setting.device, **options)
    if whole:
        loop.whole_steps()(steps)
        return loop
    for _ in range(steps):
        loop.step()
    return loop


def parameters(loop: PlanLoop) -> Float64[Tensor, " numbers"]:
    """The parameters of all members, without buffers."""
    pack = loop.module.pack
    slots = [slot for member in pack.members for slot in pack.slots(member).values()]
    return torch.cat([slot.read().detach().double().flatten() for slot in slots])


def _workloads(setting: Setting) -> Iterator[tuple[str, Workload]]:
    """An MLP first, a ResNet last."""
    names = ("mlp", "resnet8") if setting.quick else ("mlp", "cnn", "resnet20")
    for name in names:
        yield name, (QUICK if setting.quick else WORKLOADS)[name]


def _within(differences: dict[str, float], most: float, says: str) -> Found:
    """Passes if no difference is too large, or not a number; names the largest."""
    known = {name: math.inf if math.isnan(x) else x for name, x in differences.items()}
    worst = max(known, key=known.get)
    says = f"{says} {differences[worst]:.1e} ({worst})"
    require(known[worst] <= most, f"{says}, at most {most:.0e}", differences)
    return Found(says, differences)
