"""A pack that is far too large for the memory of the GPU."""

import math

import torch
from gpu_checks.outcome import CheckError, Found, NotHereError, Setting, require
from lightning.pytorch import Trainer

from bvalign import Ensemble
from bvalign.ensemble.trial import choose_plan

MIB = 2**20
ALLOWED = 2048 * MIB
"""Bytes that this process may take: one ResNet-20 at batch 128 takes 300 MiB, a hundred 30 GiB."""
KEPT = 64 * MIB
"""Bytes that may stay allocated, such as workspaces of cuBLAS."""
MEMBERS = 1000


def memory(setting: Setting) -> Found:
    """The trial of plans refuses the pack in one line, and the next fit has all the memory."""
    if setting.device == "cpu":
        raise NotHereError("a CPU has no memory of its own")
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, ALLOWED / total))
    numbers = {"allowed": ALLOWED, "before": torch.cuda.memory_allocated()}
    numbers["line"] = line = trial("auto", MEMBERS)
    numbers["after"] = torch.cuda.memory_allocated()
    require("memory" in line, f"{MEMBERS} ResNet-20 fitted into {ALLOWED // MIB} MiB", numbers)
    kept = numbers["after"] - numbers["before"]
    require(kept <= KEPT, f"{kept // MIB} MiB are still allocated after the trial", numbers)
    again = trial("sequential", 1)
    numbers["reserved"] = torch.cuda.memory_reserved()
    require("ms per step" in again, f"one member does not fit afterwards: {again}", numbers)
    return Found(f"refused, {max(kept, 0) // MIB} MiB kept: {line[:100]}", numbers)


def trial(plan: str, members: int) -> str:
    """What the trial of plans says of a pack of ResNet-20 at batch 128."""
    accelerator = {"accelerator": "gpu", "devices": 1, "max_epochs": 1}
    trainer = Trainer(**accelerator, logger=False, enable_checkpointing=False)
    module = Ensemble(
        10, (3, 32, 32), arch="resnet20_cifar", members=members, pack_size=members, plan=plan
    )
    try:
        choice = choose_plan(module, module.members, 128, trainer, steps=math.inf)
    except ValueError as error:
        return str(error)
    except torch.OutOfMemoryError as error:
        raise CheckError(f"the trial raised {str(error).splitlines()[0][:150]}") from error
    refusals = [f"{name}: {why}" for name, why in choice.refused.items()]
    return "; ".join([f"plan {choice.plan} ({choice.reason})", *refusals])
