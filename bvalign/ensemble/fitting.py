"""How many members fit side by side into the memory of an accelerator."""

import math
import sys

import torch
from lightning.pytorch import Trainer

from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.timing import seconds_per_step


def fitting_pack_size(module: Ensemble, pack_size: int, batch_size: int, trainer: Trainer) -> int:
    """The pack size, halved until a training step fits into memory, which a line then says.

    On a CPU it is left as it is, because the memory of other processes counts there too. `auto`
    needs a plan that fits, and the trial of plans leaves out those that do not.

    Args:
        module: says the plan; it is left without a pack.
        pack_size: members that are wanted side by side.
        batch_size: samples per member and step.
        trainer: gives device and precision; nothing is trained.

    Raises:
        ValueError: not even one member fits.
    """
    device, members = trainer.strategy.root_device, module.members
    plan = "sequential" if module.plan == "auto" else module.plan
    size, reason = pack_size, ""
    while device.type != "cpu":
        module.assign(range(size))
        try:
            seconds_per_step(module, plan, module.members, batch_size, trainer)
            break
        except torch.OutOfMemoryError as error:
            reason = str(error)
        finally:
            module.assign(members)
        if size == 1:
            raise ValueError(
                f"one member does not fit into memory ({reason}); use a smaller --data.batch_size"
            )
        size = math.ceil(size / 2)
    if size < pack_size:
        print(
            f"{pack_size} members do not fit into the memory of {device} side by side ({reason}); "
            f"--model.pack_size={size} is used",
            file=sys.stderr,
        )
    return size
