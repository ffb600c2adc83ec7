"""The usual Lightning loop, which trains one member, in a process of its own."""

import json
import logging
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from loops import sgd
from PIL import Image
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from workloads import Workload

from bvalign.data import ResidentDataModule


class PerSample(Dataset):
    """Images decoded and transformed one by one, as in torchvision's data sets."""

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
        optimizer = sgd(self)
        steps = self.trainer.estimated_stepping_batches
        schedule = OneCycleLR(optimizer, 0.1, total_steps=steps, cycle_momentum=False)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class Clock(Callback):
    """Records when each epoch begins and writes it to a file when training ends, if there is one.

    Args:
        path: a JSON file for a list of seconds: the start of each epoch and the end of the last.
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

    Progress bar, summary, logger and checkpoints are off, which favours it; its loader has no
    workers, as the network uses both cores. It runs in a process of its own, as malloc is tuned in
    this one.
    """
    return _usual_process().submit(_usual_epoch, workload, first, epochs, device).result()


@cache
def _usual_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=be_quiet)


def be_quiet() -> None:
    """Silences the notices and warnings of Lightning between the measurements."""
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
