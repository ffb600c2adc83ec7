"""The time of a training step as `fit` makes it, on random input."""

import gc
import time
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int64, Num
from lightning.pytorch import Trainer
from torch import Tensor

from bvalign.data.loader import TrainBatch
from bvalign.ensemble.generators import forked_generators
from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.plans import random_input
from bvalign.ensemble.steps import WholeSteps, rates_ahead

MOST = 100
"""Most steps by which a plan is timed."""


def seconds_per_step(
    module: Ensemble,
    plan: str,
    members: Sequence[int],
    batch_size: int,
    trainer: Trainer,
    *,
    least: float = 0.0,
) -> float:
    """Seconds of a training step of these members under a plan.

    Args:
        module: is left without a pack.
        plan: how the members are computed.
        members: to be trained side by side.
        batch_size: samples per member and step.
        trainer: gives device and precision; nothing is trained.
        least: seconds of steps to time.

    Raises:
        ValueError: the plan cannot run the network.
        OutOfMemoryError: the members do not fit; what they took is free again.
    """
    device = trainer.strategy.root_device
    try:  # dropout draws from the global generators, which are left as they were
        with forked_generators(device):
            return _seconds(
                _training_step(module, plan, members, batch_size, trainer), device, least
            )
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
    finally:
        module.assign(module.members)
    # the frames of that error, which hold tensors, are gone by now
    gc.collect()
    if device.type != "cpu":
        torch.get_device_module(device).empty_cache()
    raise torch.OutOfMemoryError(reason)


def _seconds(step: Callable[[], None], device: torch.device, least: float) -> float:
    """Seconds of the fastest step after a first one: others may use the machine.

    Args:
        step: makes one training step.
        device: of the step.
        least: seconds of steps to time, or `MOST` of them.
    """

    def synchronize() -> None:
        if device.type != "cpu":
            torch.accelerator.synchronize(device)  # which need not be the current one

    step()
    took: list[float] = []
    while len(took) < 2 or (sum(took) < least and len(took) < MOST):
        synchronize()
        start = time.perf_counter()
        step()
        synchronize()
        took.append(time.perf_counter() - start)
    return min(took)


def _training_step(
    module: Ensemble, plan: str, members: Sequence[int], batch_size: int, trainer: Trainer
) -> Callable[[], None]:
    """A function that makes one training step as `fit` does, on random input.

    Raises:
        ValueError: the plan cannot run the network.
    """
    device, precision = trainer.strategy.root_device, trainer.precision_plugin
    module.plan = plan
    module.assign(members)
    with precision.module_init_context():
        module.configure_model()
    precision.convert_module(module).to(device).train()
    module.on_train_epoch_start()
    size = (len(members), batch_size)
    input = random_input(module.pack.network(members[0]), size, module.image_shape).to(device)
    target = torch.zeros(size, dtype=torch.int64, device=device)
    optimizer = module.optimizer_of_all()
    if module.drawn:
        batches, rates = _OneBatch(input, target), rates_ahead(optimizer, None, 2 * MOST)
        with precision.forward_context():
            whole = WholeSteps(
                module.pack, batches, module.losses, optimizer, rates, module.loss_sum
            )

    def whole_step() -> None:
        with precision.forward_context():
            whole.make(1)

    def step() -> None:
        with precision.forward_context():
            loss = module.training_step((input, target, target), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return whole_step if module.drawn else step


class _OneBatch:
    """The same batch at every step."""

    def __init__(
        self, input: Num[Tensor, "members batch ..."], target: Int64[Tensor, "members batch"]
    ) -> None:
        self.input, self.target, self.step = input, target, torch.zeros_like(target[:, 0])

    def draw(self, row: int | None = None) -> TrainBatch:
        mine = slice(None) if row is None else slice(row, row + 1)
        return self.input[mine], self.target[mine], self.target[mine]
