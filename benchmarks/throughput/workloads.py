"""The networks and data sets of the benchmark, and the amount of training of each."""

from dataclasses import dataclass

import numpy as np

from bvalign.data import CIFAR10, Arrays, Digits, ResidentDataModule
from bvalign.data.augmentation import Augmentation
from bvalign.ensemble.module import Ensemble

CLASSES = 10


class RandomImages(ResidentDataModule):
    """Noise in the shape of CIFAR-10, with its augmentation: for timing, without a signal."""

    name = "random-images"
    class_names = tuple("abcdefghij")
    image_shape = (3, 32, 32)
    mean, std = (0.5,) * 3, (0.29,) * 3
    augmentation = Augmentation(padding=4, flip=True)
    sizes = (2048, 200)

    def load(self) -> Arrays:
        rng = np.random.default_rng(0)
        return Arrays(
            *(
                array
                for size in self.sizes
                for array in (
                    rng.integers(256, size=(size, *self.image_shape), dtype=np.uint8),
                    np.arange(size) % CLASSES,
                )
            )
        )


class Cifar10Size(RandomImages):
    """As many images as CIFAR-10 has."""

    name = "cifar10-sized-noise"
    sizes = (50_000, 10_000)


class Cifar10Copy(CIFAR10):
    """CIFAR-10, or a re-encoded copy of it."""

    def __init__(self, batch_size: int = 128, num_train: int | None = None) -> None:
        super().__init__(verify=False, batch_size=batch_size, num_train=num_train)


def cifar10_is_at_hand() -> bool:
    """Whether the folder BVALIGN_DATA, or else `data`, has the files of CIFAR-10."""
    return Cifar10Copy().has_files()


@dataclass(frozen=True)
class Workload:
    """A network, its data set, and the amount of training.

    Attributes:
        arch: the network.
        data: class of the data set.
        batch_size: samples per member and step.
        pack: members side by side.
        threads: threads of every way to train.
        num_train: training samples; None for all.
        epochs: epochs of a fit before the timing starts, and epochs of the whole fit.
        validate_every: epochs between validations.
    """

    arch: str
    data: type[ResidentDataModule]
    batch_size: int
    pack: int
    threads: int
    num_train: int | None
    epochs: tuple[int, int]
    validate_every: int

    def datamodule(self) -> ResidentDataModule:
        """The data set, loaded."""
        data = self.data(batch_size=self.batch_size, num_train=self.num_train)
        data.setup()
        return data

    def module(self, plan: str, **arguments: object) -> Ensemble:
        """The ensemble of one pack."""
        shape = self.data.image_shape
        arguments = {"arch": self.arch, "plan": plan, "members": self.pack} | arguments
        return Ensemble(CLASSES, shape, pack_size=self.pack, **arguments)


def gpu_workload() -> Workload:
    """What the goals on a GPU are about, on CIFAR-10 where it is at hand and else on noise."""
    data = Cifar10Copy if cifar10_is_at_hand() else Cifar10Size
    return Workload("resnet20_cifar", data, 128, 20, 2, None, (1, 3), 1000)


WORKLOADS = {
    "mlp": Workload("mlp", Digits, 32, 64, 1, None, (5, 20), 5),
    "cnn": Workload("cnn", Digits, 32, 16, 1, None, (5, 15), 5),
    "resnet8": Workload("resnet8_cifar", RandomImages, 128, 4, 2, 512, (1, 5), 1000),
    "resnet20": Workload("resnet20_cifar", RandomImages, 128, 4, 2, 512, (1, 3), 1000),
}
QUICK = {
    "mlp": Workload("mlp", Digits, 16, 2, 1, 64, (1, 2), 1),
    "resnet8": Workload("resnet8_cifar", RandomImages, 4, 2, 1, 20, (1, 2), 1000),
}
"""Tiny workloads, for the tests."""
