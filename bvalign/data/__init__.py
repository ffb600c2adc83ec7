"""Data sets as LightningDataModules whose training batches have a leading member axis."""

from bvalign.data.contract import Arrays
from bvalign.data.datamodule import ResidentDataModule
from bvalign.data.digits import Digits
from bvalign.data.images import CIFAR10, CIFAR100, MNIST, FashionMNIST
from bvalign.data.loader import Augmentation

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "Arrays",
    "Augmentation",
    "Digits",
    "FashionMNIST",
    "ResidentDataModule",
]
