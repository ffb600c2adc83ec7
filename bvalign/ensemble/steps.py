"""Whole training steps on the device, of a pack or of each of its members.

    input, target   batch of the step               step += 1
    loss[m]         mean over the batch             loss_sum[m] += loss[m]
    gradient        of the sum over m of loss[m]
    lr              rates[made]                     made += 1
    weights         one step of the optimizer

All that a step reads or writes keeps its address for the whole fit. Nothing crosses between host
and device and neither waits for the other, so that a CUDA graph can repeat the step; see
`graphs.py`. On other accelerators the same functions are called.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bvalign.data.loader import TrainBatch
from bvalign.ensemble.graphs import SideBySide, lanes
from bvalign.ensemble.pack import Pack

SINGLE = ("cuda", "mps", "xpu")
"""Devices whose fused optimizers read the learning rate in float32 whatever the weights are."""

Losses = Callable[
    [Float[Tensor, "members batch classes"], Int64[Tensor, "members batch"]],
    Float[Tensor, " members"],
]


@runtime_checkable
class Batches(Protocol):
    """Batches of training steps on the device, such as `MemberBatches`."""

    step: Int64[Tensor, " members"]  # next training step of each member

    def draw(self, row: int | None = None) -> TrainBatch:
        """The next batch, of all members or of one row; counts the step."""
        ...


class WholeStep:
    """A training step of a pack, or of one of its members.

    Args:
        part: the pack, or the network of the member.
        row: of the member; None for all.
        batches: of the pack.
        losses: mean loss of each member.
        optimizer: of the pack.
        rates: learning rates of the parameter groups at each step from now on.
        loss_sum: of the members, to which losses are added.
    """

    def __init__(
        self,
        part: nn.Module,
        row: int | None,
        batches: Batches,
        losses: Losses,
        optimizer: Optimizer,
        rates: Float[Tensor, "steps groups"],
        loss_sum: Float[Tensor, " members"],
    ) -> None:
        mine = slice(None) if row is None else slice(row, row + 1)
        self.part, self.row, self.batches, self.losses = part, row, batches, losses
        self.dtype = next(part.parameters()).dtype
        self.rates, self.lr = rates, torch.zeros_like(rates[0])
        self.made = torch.zeros(1, dtype=torch.int64, device=rates.device)
        self.optimizer = part_of(optimizer, part, self.lr)
        self.loss_sum = loss_sum[mine]
        self.counts = (self.made, batches.step[mine])

    def __call__(self) -> None:
        input, target, _ = self.batches.draw(self.row)
        if input.is_floating_point():
            input = input.to(self.dtype)
        logits = self.part(input) if self.row is None else self.part(input[0]).unsqueeze(0)
        loss = self.losses(logits, target)
        loss.sum().backward()
        self.lr.copy_(self.rates.index_select(0, self.made)[0])
        self.made += 1
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.loss_sum += loss.detach()

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Restores what steps write; what the optimizer did not keep before becomes zero."""
        tensors = [*self.part.parameters(), *self.part.buffers(), *self.counts, self.loss_sum]
        before = [(tensor, tensor.detach().clone()) for tensor in tensors]
        kept = {place: value.clone() for place, value in self._kept()}
        yield
        with torch.no_grad():
            for tensor, value in before:
                tensor.copy_(value)
            for place, value in self._kept():
                value.copy_(kept[place]) if place in kept else value.zero_()

    def _kept(self) -> Iterator[tuple[tuple[nn.Parameter, str], Tensor]]:
        """Tensors that the optimizer keeps of these parameters."""
        for parameter in self.part.parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    yield (parameter, key), value


class WholeSteps:
    """Training steps of all members of a pack.

    Args:
        pack: in training.
        arguments: the other arguments of `WholeStep`.

    Raises:
        ValueError: the steps cannot be captured in a CUDA graph.
    """

    def __init__(
        self,
        pack: Pack,
        batches: Batches,
        losses: Losses,
        optimizer: Optimizer,
        rates: Float[Tensor, "steps groups"],
        loss_sum: Float[Tensor, " members"],
    ) -> None:
        device = loss_sum.device
        single = device.type in SINGLE
        rates = rates.to(torch.float32 if single else torch.float64).to(device)
        steps = [
            WholeStep(part, row, batches, losses, optimizer, rates, loss_sum)
            for row, part in pack.parts()
        ]
        self.make = SideBySide(steps, lanes(device, len(steps)))


def part_of(optimizer: Optimizer, part: nn.Module, lr: Float[Tensor, " groups"]) -> Optimizer:
    """The optimizer of some of its parameters, with the same state.

    Args:
        optimizer: fused.
        part: holds the parameters.
        lr: learning rate of each group, read from the device at each step.
    """
    own, here = copy(optimizer), set(part.parameters())
    own.param_groups = [
        {**group, "params": [p for p in group["params"] if p in here], "lr": rate}
        for group, rate in zip(optimizer.param_groups, lr.unbind(), strict=True)
    ]
    if lr.device.type == "cuda" and "capturable" in own.defaults:
        for group in own.param_groups:
            group["capturable"] = True
        own._warned_capturable_if_run_uncaptured = True  # the warm-up does, on purpose
    return own


def rates_ahead(
    optimizer: Optimizer, scheduler: LRScheduler | None, steps: int
) -> Float[Tensor, "steps groups"]:
    """Learning rates of the next steps, in float64; optimizer and scheduler are left as they are.

    Args:
        optimizer: holds the learning rates of the next step.
        scheduler: changes them after each step.
        steps: number of steps.
    """
    groups = optimizer.param_groups
    first = [group["lr"] for group in groups]
    if scheduler is None:
        return torch.tensor([first], dtype=torch.float64).expand(steps, -1)
    optimizer._opt_called = True  # its parts make the steps, of which the scheduler cannot know
    state, rates = scheduler.state_dict(), []
    for _ in range(steps):
        rates.append([group["lr"] for group in groups])
        scheduler.step()
    scheduler.load_state_dict(state)
    for group, lr in zip(groups, first, strict=True):
        group["lr"] = lr
    return torch.tensor(rates, dtype=torch.float64)
