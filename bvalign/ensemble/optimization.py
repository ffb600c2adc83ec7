"""The optimizer of a pack and its learning rate schedule."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

OptimizerName = Literal["sgd", "adamw"]
Schedule = Literal["onecycle", "cosine", "constant"]


@dataclass(frozen=True)
class Optimization:
    """Optimizer and learning rate schedule, the same for every member.

    Both optimizers update every number separately, so one of them serves all members of a pack and
    keeps them independent.

    Args:
        optimizer: SGD with Nesterov momentum, or AdamW.
        lr: peak learning rate.
        momentum: of SGD.
        weight_decay: L2 penalty (SGD) or decoupled decay (AdamW), on all weights.
        schedule: see `Ensemble`.
    """

    optimizer: OptimizerName
    lr: float
    momentum: float
    weight_decay: float
    schedule: Schedule

    def __post_init__(self) -> None:
        values = self.lr, self.momentum, self.weight_decay
        if not all(value >= 0 for value in values):  # neither is NaN
            raise ValueError(
                "model.lr, model.momentum and model.weight_decay must be at least 0, got "
                f"{', '.join(map(str, values))}"
            )

    def make_optimizer(self, parameters: Iterable[nn.Parameter], *, fused: bool) -> Optimizer:
        """One optimizer over the parameters of all members of a pack."""
        decay = {"lr": self.lr, "weight_decay": self.weight_decay, "fused": fused}
        if self.optimizer == "adamw":
            return AdamW(parameters, **decay)
        return SGD(parameters, momentum=self.momentum, nesterov=self.momentum > 0, **decay)

    def make_scheduler(self, optimizer: Optimizer, steps: int) -> LRScheduler | None:
        """The scheduler of `steps` optimizer steps; None for a constant learning rate."""
        if self.schedule == "onecycle":
            return OneCycleLR(optimizer, self.lr, total_steps=steps, cycle_momentum=False)
        return CosineAnnealingLR(optimizer, T_max=steps) if self.schedule == "cosine" else None
