"""The LightningDataModule of image sets that fit on the training device.

A data set is a subclass that names its classes and its image shape and implements `load`.
"""

import hashlib
from abc import abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from bvalign.data.loader import Augmentation, EvalBatches, MemberBatches, Resident


class Arrays(NamedTuple):
    """What `load` returns: both splits, and what a reader of the results must know of them."""

    train_images: np.ndarray  # uint8 (samples, channels, height, width)
    train_target: np.ndarray  # int64 (samples)
    test_images: np.ndarray  # uint8 (samples, channels, height, width)
    test_target: np.ndarray  # int64 (samples)
    notes: tuple[str, ...] = ()  # repeated in every summary, such as "a re-encoded copy"


class ResidentDataModule(LightningDataModule):
    """A small image set, kept as uint8 on the training device.

    Training batches are (input, target, index) with a leading member axis; evaluation batches have
    none. Validation watches the test split while members train, and nothing is selected on it.

    Args:
        batch_size: samples per member and training step.
        eval_batch_size: samples per evaluation batch; changes speed and memory only.
        augment: train on the data set's usual random crops and flips, where it has any.
        num_train: use that many training samples, the same share of each class, chosen by
            position and not by the seed; all by default.
        num_test: the same for the test split.
    """

    name: ClassVar[str]
    class_names: ClassVar[tuple[str, ...]]
    image_shape: ClassVar[tuple[int, int, int]]  # channels, height, width
    mean: ClassVar[tuple[float, ...]]  # per channel, of pixels scaled to [0, 1]
    std: ClassVar[tuple[float, ...]]
    augmentation: ClassVar[Augmentation] = Augmentation()
    batches: ClassVar[type[MemberBatches]] = MemberBatches

    def __init__(
        self,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        augment: bool = True,
        num_train: int | None = None,
        num_test: int | None = None,
    ) -> None:
        super().__init__()
        if min(batch_size, eval_batch_size) < 1:
            raise ValueError(
                f"data.batch_size and data.eval_batch_size must be at least 1, got {batch_size} "
                f"and {eval_batch_size}"
            )
        self.batch_size, self.eval_batch_size, self.augment = batch_size, eval_batch_size, augment
        self.num_train, self.num_test = num_train, num_test
        self.arrays: Arrays | None = None

    @abstractmethod
    def load(self) -> Arrays:
        """Reads both splits into memory; called once per process."""

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def num_test_samples(self) -> int:
        """Size of the test split; needs `setup`."""
        return len(self.arrays.test_target)

    def setup(self, stage: str | None = None) -> None:
        """Loads, checks and thins the arrays on the first call; later calls do nothing."""
        if self.arrays is not None:
            return
        arrays = self.load()
        train = self._thin("train", arrays.train_images, arrays.train_target, self.num_train)
        test = self._thin("test", arrays.test_images, arrays.test_target, self.num_test)
        self.arrays = Arrays(*train, *test, notes=arrays.notes)

    def identity(self) -> dict[str, object]:
        """What of the data decides a member's weights and predictions; needs `setup`."""
        digest = hashlib.sha256()
        for array in self.arrays[:4]:
            digest.update(np.ascontiguousarray(array))
        return {
            "name": self.name,
            "fingerprint": digest.hexdigest()[:16],
            "batch_size": self.batch_size,
            "augment": self.augment and self.augmentation != Augmentation(),
        }

    def train_dataloader(self) -> MemberBatches:
        """Batches for the members that the LightningModule holds at the moment."""
        module = self.trainer.lightning_module
        split = self._resident(self.arrays.train_images, self.arrays.train_target)
        augmentation = self.augmentation if self.augment else Augmentation()
        return self.batches(
            split, module.members, module.streams, self.batch_size, augmentation, self.normalise
        )

    def train_inputs(self) -> tuple[Tensor, Tensor]:
        """The whole training set without augmentation: inputs and labels on the device."""
        split = self._resident(self.arrays.train_images, self.arrays.train_target)
        return self.normalise(split.images), split.target

    def test_dataloader(self) -> EvalBatches:
        split = self._resident(self.arrays.test_images, self.arrays.test_target)
        return EvalBatches(split, self.eval_batch_size, self.normalise)

    val_dataloader = test_dataloader

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (..., channels, height, width) to float32 with mean 0 and deviation 1."""
        mean = torch.tensor(self.mean, device=images.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(-1, 1, 1)
        return (images.float() / 255 - mean) / std

    def _resident(self, images: np.ndarray, target: np.ndarray) -> Resident:
        device = self.trainer.strategy.root_device
        return Resident(torch.from_numpy(images).to(device), torch.from_numpy(target).to(device))

    def _thin(
        self, split: str, images: np.ndarray, target: np.ndarray, num: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The first `num` samples in an order that takes the classes in turn, sorted by row."""
        if images.shape[1:] != self.image_shape or images.dtype != np.uint8:
            raise ValueError(
                f"{self.name}: {split} images must be uint8 (samples, {self.image_shape}), got "
                f"{images.dtype} {images.shape}"
            )
        outside = np.flatnonzero((target < 0) | (target >= self.num_classes))
        if len(outside):
            raise ValueError(
                f"{self.name}: {split} labels must lie in 0..{self.num_classes - 1}, but "
                f"{len(outside)} do not, the first is {target[outside[0]]} at row {outside[0]}"
            )
        if num is None:
            return images, target.astype(np.int64)
        if not 1 <= num <= len(target):
            raise ValueError(
                f"data.num_{split} must lie in 1..{len(target)}, the size of the split, got {num}"
            )
        rank_in_class = np.empty(len(target), dtype=np.int64)
        for label in range(self.num_classes):
            rows = np.flatnonzero(target == label)
            rank_in_class[rows] = np.arange(len(rows))
        keep = np.sort(np.argsort(rank_in_class, kind="stable")[:num])
        return images[keep], target[keep].astype(np.int64)
