"""The optimizer of a pack and its learning rate schedule."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR

from bvalign.ensemble.lookahead import Lookahead

OptimizerName = Literal["sgd", "adamw"]
Schedule = Literal["onecycle", "cosine", "triangular", "constant"]


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
        bias_lr_factor: see `Ensemble`.
        lookahead: see `Ensemble`.
    """

    optimizer: OptimizerName
    lr: float
    momentum: float
    weight_decay: float
    schedule: Schedule
    bias_lr_factor: float = 1.0
    lookahead: int = 0

    def __post_init__(self) -> None:
        values = self.lr, self.momentum, self.weight_decay
        if not all(0 <= value < float("inf") for value in values):  # neither is NaN
            raise ValueError(
                "model.lr, model.momentum and model.weight_decay must be finite and at least 0, "
                f"got {', '.join(map(str, values))}"
            )
        if not 0 < self.bias_lr_factor < float("inf"):
            raise ValueError(
                f"model.bias_lr_factor must be a number above 0, got {self.bias_lr_factor}"
            )
        if self.lookahead < 0 or (self.lookahead and self.optimizer != "sgd"):
            raise ValueError(
                "model.lookahead must be 0, or a number of steps of --model.optimizer=sgd, got "
                f"{self.lookahead} of {self.optimizer}"
            )

    def identity(self) -> dict[str, object]:
        """All settings; those that 0.1.0 did not have only where they are in use."""
        unused = {"bias_lr_factor": 1, "lookahead": 0}
        return {key: value for key, value in asdict(self).items() if unused.get(key) != value}

    def make_optimizer(
        self, parameters: Iterable[tuple[str, nn.Parameter]], *, fused: bool
    ) -> Optimizer:
        """One optimizer over the parameters of all members of a pack that are not frozen.

        Args:
            parameters: with their names; those of biases end in `bias`.
            fused: see torch.optim.
        """
        trained = [(name, p) for name, p in parameters if p.requires_grad]
        groups: list[dict[str, object]] = [{"params": [p for _, p in trained]}]
        if self.bias_lr_factor != 1:
            biases = [p for name, p in trained if _is_bias(name)]
            others = [p for name, p in trained if not _is_bias(name)]
            lr, decay = self.lr * self.bias_lr_factor, self.weight_decay / self.bias_lr_factor
            groups = [{"params": others}, {"params": biases, "lr": lr, "weight_decay": decay}]
        settings = {"lr": self.lr, "weight_decay": self.weight_decay, "fused": fused}
        if self.optimizer == "adamw":
            return AdamW(groups, **settings)
        settings |= {"momentum": self.momentum, "nesterov": self.momentum > 0}
        return (
            Lookahead(groups, self.lookahead, **settings)
            if self.lookahead
            else SGD(groups, **settings)
        )

    def make_scheduler(self, optimizer: Optimizer, steps: int) -> LRScheduler | None:
        """The scheduler of `steps` optimizer steps; None for a constant learning rate.

        An optimizer that needs to know their number is told so here.
        """
        if isinstance(optimizer, Lookahead):
            optimizer.expect(steps)
        if self.schedule == "onecycle":
            peaks = [group["lr"] for group in optimizer.param_groups]
            return OneCycleLR(optimizer, peaks, total_steps=steps, cycle_momentum=False)
        if self.schedule == "triangular":
            return LambdaLR(optimizer, lambda step: triangular(step, steps))
        return CosineAnnealingLR(optimizer, T_max=steps) if self.schedule == "cosine" else None


def triangular(step: int, steps: int) -> float:
    """Fraction of the peak learning rate at a step.

    >>> [round(triangular(step, 100), 3) for step in (0, 23, 100)]
    [0.2, 1.0, 0.07]
    """
    return float(np.interp(step / steps, (0, 0.23, 1), (0.2, 1, 0.07)))


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2] == "bias"
