"""Bare training loops: that of a plan, for one pack, and the plain loop of one member."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from usual import sgd
from workloads import Workload

from bvalign.data.augmentation import Resident
from bvalign.data.loader import MemberBatches


class PlanLoop:
    """The computation of `fit` for one pack, without Lightning: same members, batches and schedule.

    Args:
        workload: network and data.
        plan: how the pack is computed.
        bfloat16: autocast, as with --trainer.precision=bf16-mixed.
        compiled: torch.compile, as with --model.compile=true.
        epochs: length of the schedule; by default the learning rate is constant.
        dtype: type of network weights and inputs.
        device: device of both.
    """

    def __init__(
        self,
        workload: Workload,
        plan: str,
        *,
        bfloat16: bool = False,
        compiled: bool = False,
        epochs: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> None:
        self.device, self.dtype, self.bfloat16 = device, dtype, bfloat16
        self.data, self.module = workload.datamodule(), workload.module(plan, compile=compiled)
        self.module.configure_model()
        self.module.to(device, dtype).train()
        self.module.on_train_epoch_start()
        images, target, *test = (torch.from_numpy(a).to(device) for a in self.data.arrays[:4])
        self.test = test
        self.batches = MemberBatches(
            Resident(images, target),
            self.data.augmentation,
            self.data.normalise,
            members=self.module.members,
            streams=self.module.streams,
            batch_size=workload.batch_size,
        )
        self.optimizer = self.module.optimizer_of_all()
        self.schedule = None
        if epochs is not None:
            steps = epochs * len(self.batches)
            self.schedule = self.module.optimization.make_scheduler(self.optimizer, steps)
        self.validate_every, self.endless = workload.validate_every, self._endless()

    def step(self) -> None:
        """Takes one optimizer step of all members of the pack, each on its next batch."""
        self.train(*next(self.endless))

    def epoch(self, number: int) -> None:
        """Trains one epoch and validates where that is due."""
        self.batches.set_epoch(number)
        for input, target, _ in self.batches:
            self.train(input, target)
        if (number + 1) % self.validate_every == 0:
            self.module.eval()
            with torch.no_grad():
                for images, target in zip(*(t.split(1000) for t in self.test), strict=True):
                    input = self.data.normalise(images).to(self.dtype)
                    self.module.test_step((input, target, target), 0)
            self.module.train()

    def train(self, input: Tensor, target: Tensor) -> None:
        """Takes one optimizer step on a batch."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16):
            loss = self.module.training_step((input.to(self.dtype), target, target), 0)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        number = 0
        while True:
            self.batches.set_epoch(number)
            for input, target, _ in self.batches:
                yield input, target
            number += 1


class PlainLoop:
    """One member in the loop of a tutorial, with its data on the device and gathered batches."""

    def __init__(self, workload: Workload, device: str = "cpu") -> None:
        self.data, self.device = workload.datamodule(), device
        self.batch_size = workload.batch_size
        split = Resident(*(torch.from_numpy(a).to(device) for a in self.data.arrays[:2]))
        self.split = self.data.augmentation.pad(split)
        self.network = workload.module("sequential").initial_network(0).to(device).train()
        self.optimizer = sgd(self.network)
        self.rng, self.order = np.random.default_rng(0), torch.empty(0, dtype=torch.int64)

    def step(self) -> None:
        """Takes one optimizer step on the next batch."""
        if len(self.order) < self.batch_size:
            self.order = torch.randperm(len(self.split.images), device=self.device)
        index, self.order = self.order[: self.batch_size], self.order[self.batch_size :]
        shifts = self.data.augmentation.shifts(self.rng.random((len(index), 3)))
        shifts = torch.from_numpy(shifts).to(self.device)
        images = self.data.augmentation(self.split.images, index, shifts)
        logits = self.network(self.data.normalise(images))
        loss = nn.functional.cross_entropy(logits, self.split.target[index])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
