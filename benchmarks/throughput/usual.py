"""The usual Lightning loop, which trains one member, in a process of its own.

    python usual.py MEMBERS EPOCHS [FOLDER]    # MLPs on digits, one after another

As a script it imports nothing of bvalign; with a folder it logs to one offline W&B run there.
"""

import json
import logging
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

if TYPE_CHECKING:  # the script is measured without what bvalign imports
    from workloads import Workload

    from bvalign.data import ResidentDataModule


class PerSample(Dataset):
    """Images decoded and transformed one by one, as in torchvision's data sets."""

    def __init__(
        self, images: np.ndarray, target: np.ndarray, transform: transforms.Compose
    ) -> None:
        images = images.transpose(0, 2, 3, 1)
        self.images = images.squeeze(-1) if images.shape[-1] == 1 else images
        self.target, self.transform = target.tolist(), transform

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[row])), self.target[row]


def transforms_of(data: "ResidentDataModule") -> transforms.Compose:
    """The normalisation and augmentation of a data set by torchvision."""
    steps = [transforms.ToTensor(), transforms.Normalize(data.mean, data.std)]
    if padding := data.augmentation.padding:
        crop = transforms.RandomCrop(data.image_shape[1:], padding=padding)
        steps = [crop, transforms.RandomHorizontalFlip(), *steps]
    return transforms.Compose(steps)


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


def sgd(network: nn.Module) -> torch.optim.SGD:
    """The optimizer of the plain and the usual loop."""
    return torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )


def usual_epoch(
    workload: "Workload", first: int, epochs: int, device: str = "cpu", workers: int = 0
) -> float:
    """Seconds per epoch and member of the usual Lightning loop, without its first epochs.

    It runs in a process of its own, as malloc is tuned in this one.

    Args:
        workload: network and data.
        first: epochs before the timing starts.
        epochs: all epochs, each of the whole training set.
        device: `cpu` or `cuda`.
        workers: processes that prepare the samples; none share the processor with the network.
    """
    return _usual_process().submit(_usual_epoch, workload, first, epochs, device, workers).result()


@cache
def _usual_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=be_quiet)


def be_quiet() -> None:
    """Silences the notices and warnings of Lightning between the measurements."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


def _usual_epoch(workload: "Workload", first: int, epochs: int, device: str, workers: int) -> float:
    torch.set_num_threads(workload.threads)
    data = workload.datamodule()
    train, test = (PerSample(*data.arrays[i : i + 2], transforms_of(data)) for i in (0, 2))
    clock = Clock()
    trainer = quiet_trainer(
        max_epochs=epochs,
        accelerator="gpu" if device == "cuda" else "cpu",
        callbacks=[clock],
        check_val_every_n_epoch=workload.validate_every,
    )
    network = workload.module("sequential").initial_network(0)
    fit(trainer, network, train, test, workload.batch_size, workers)
    return (clock.begun[-1] - clock.begun[first]) / (epochs - first)


def quiet_trainer(logger: WandbLogger | bool = False, **arguments: object) -> Trainer:
    """A Trainer without progress bar, summary and checkpoints, which favours it."""
    return Trainer(
        devices=1,
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **arguments,
    )


def fit(
    trainer: Trainer,
    network: nn.Module,
    train: Dataset,
    test: Dataset,
    batch_size: int,
    workers: int = 0,
) -> None:
    """Trains one member; without workers by default, as on a CPU the network uses all cores."""
    options = {
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": trainer.strategy.root_device.type == "cuda",
    }
    loader = DataLoader(train, batch_size, shuffle=True, drop_last=True, **options)
    trainer.fit(Classify(network), loader, DataLoader(test, 1000, **options))


def train_mlps(members: int, epochs: int, logger: WandbLogger | bool) -> None:
    """Trains MLPs on digits, as `bvalign fit --model.arch=mlp` does, and keeps nothing of them."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.round(digits.images[:, None] * (255 / 16)).astype(np.uint8)
    split = train_test_split(
        images, digits.target, test_size=0.5, random_state=0, stratify=digits.target
    )
    steps = [transforms.ToTensor(), transforms.Normalize(0.305, 0.376)]
    train, test = (PerSample(*split[i::2], transforms.Compose(steps)) for i in (0, 1))
    for member in range(members):
        torch.manual_seed(member)
        layers = [nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
        network = nn.Sequential(nn.Flatten(), *layers, nn.Linear(128, 10))
        trainer = quiet_trainer(
            logger, max_epochs=epochs, accelerator="cpu", check_val_every_n_epoch=5
        )
        fit(trainer, network, train, test, batch_size=32)


if __name__ == "__main__":
    be_quiet()
    counts, folder = map(int, sys.argv[1:3]), sys.argv[3:]
    train_mlps(*counts, WandbLogger(save_dir=folder[0], offline=True) if folder else False)
