"""The ways to train that are compared: the usual Lightning loop, a plain loop, a bare plan."""

import json
import logging
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from workloads import Workload

from bvalign.data import ResidentDataModule
from bvalign.data.loader import MemberBatches, Resident


class PlanLoop:
    """What `fit` computes of one pack, without Lightning: the same members, batches and schedule.

    Args:
        workload: network and data.
        plan: how the pack is computed.
        bfloat16: autocast, as --trainer.precision=bf16-mixed does.
        compiled: as --model.compile=true does.
        epochs: of the schedule; a constant learning rate by default.
        dtype: of weights and inputs.
        device: where.
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
        """One optimizer step of all members of the pack, on the next batch of each."""
        self.train(*next(self.endless))

    def epoch(self, number: int) -> None:
        """One epoch, and the validation after it where it is due."""
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
        """One optimizer step on a batch."""
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
    """One member in the loop of a tutorial: its data lies on the device, batches are gathered."""

    def __init__(self, workload: Workload, device: str = "cpu") -> None:
        self.data, self.device = workload.datamodule(), device
        self.batch_size = workload.batch_size
        arrays = self.data.arrays[:2]
        self.images, self.target = (torch.from_numpy(array).to(device) for array in arrays)
        self.network = workload.module("sequential").initial_network(0).to(device).train()
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        self.rng, self.order = np.random.default_rng(0), torch.empty(0, dtype=torch.int64)

    def step(self) -> None:
        if len(self.order) < self.batch_size:
            self.order = torch.randperm(len(self.images), device=self.device)
        index, self.order = self.order[: self.batch_size], self.order[self.batch_size :]
        draws = self.rng.random((len(index), 3))
        images = self.data.augmentation(self.images[index], draws)
        logits = self.network(self.data.normalise(images))
        loss = nn.functional.cross_entropy(logits, self.target[index])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


class PerSample(Dataset):
    """Images that are decoded and transformed one by one, as torchvision's data sets do."""

    def __init__(self, data: ResidentDataModule, images: np.ndarray, target: np.ndarray) -> None:
        images = images.transpose(0, 2, 3, 1)
        self.images = images.squeeze(-1) if images.shape[-1] == 1 else images
        self.target = target.tolist()
        augmentation = data.augmentation
        steps = [transforms.ToTensor(), transforms.Normalize(data.mean, data.std)]
        if augmentation.padding:
            crop = transforms.RandomCrop(data.image_shape[1:], padding=augmentation.padding)
            steps = [crop, transforms.RandomHorizontalFlip(), *steps]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[row])), self.target[row]


class Classify(LightningModule):
    """The LightningModule of a tutorial."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = nn.functional.cross_entropy(self.network(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        logits = self.network(batch[0])
        self.log("val/loss", nn.functional.cross_entropy(logits, batch[1]))
        self.log("val/accuracy", (logits.argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self) -> dict[str, object]:
        optimizer = torch.optim.SGD(
            self.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        steps = self.trainer.estimated_stepping_batches
        schedule = OneCycleLR(optimizer, 0.1, total_steps=steps, cycle_momentum=False)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class Clock(Callback):
    """When each epoch begins; with a file, written there when training ends.

    Args:
        path: of a JSON file, a list of seconds: the begin of each epoch and the end of the last.
    """

    def __init__(self, path: str | None = None) -> None:
        self.begun: list[float] = []
        self.path = path

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.begun.append(time.perf_counter())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.begun.append(time.perf_counter())
        if self.path is not None:
            Path(self.path).write_text(json.dumps(self.begun))


def usual_epoch(workload: Workload, first: int, epochs: int, device: str = "cpu") -> float:
    """Seconds per epoch and member of the usual Lightning loop, without its first epochs.

    Bar, summary, logger and checkpoints are off, which favours it; its loader has no workers, as
    the network has both cores. Its process is not this one, whose malloc is tuned.
    """
    return _usual_process().submit(_usual_epoch, workload, first, epochs, device).result()


@cache
def _usual_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=be_quiet)


def be_quiet() -> None:
    """No introductions and warnings of Lightning between the measurements."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


def _usual_epoch(workload: Workload, first: int, epochs: int, device: str) -> float:
    torch.set_num_threads(workload.threads)
    data = workload.datamodule()
    train, test = (PerSample(data, *data.arrays[i : i + 2]) for i in (0, 2))
    loader = DataLoader(train, workload.batch_size, shuffle=True, drop_last=True)
    clock = Clock()
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=workload.validate_every,
    )
    network = workload.module("sequential").initial_network(0)
    trainer.fit(Classify(network), loader, DataLoader(test, 1000))
    return (clock.begun[-1] - clock.begun[first]) / (epochs - first)
