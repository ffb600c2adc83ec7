"""The learning rate over the steps of training."""

from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

Schedule = Literal["onecycle", "cosine", "constant"]


def scheduler_of(
    optimizer: Optimizer, schedule: Schedule, lr: float, steps: int
) -> LRScheduler | None:
    """Steps once per optimizer step, `steps` in all; None for a constant learning rate."""
    if schedule == "onecycle":
        return OneCycleLR(optimizer, lr, total_steps=steps, cycle_momentum=False)
    return CosineAnnealingLR(optimizer, T_max=steps) if schedule == "cosine" else None
