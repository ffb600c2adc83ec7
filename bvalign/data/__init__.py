"""Data sets as LightningDataModules whose training batches have a leading member axis."""

from bvalign.data.augmentation import Augmentation
from bvalign.data.cifar import CIFAR10, CIFAR100
from bvalign.data.datamodule import Arrays, EnsembleDataModule
from bvalign.data.digits import Digits
from bvalign.data.human_labels import CIFAR10N, cifar10h_counts
from bvalign.data.image_folder import ImageFolder
from bvalign.data.images import MNIST, FashionMNIST
from bvalign.data.resident import ResidentDataModule
from bvalign.data.text import TREC

__all__ = [
    "CIFAR10",
    "CIFAR10N",
    "CIFAR100",
    "MNIST",
    "TREC",
    "Arrays",
    "Augmentation",
    "Digits",
    "EnsembleDataModule",
    "FashionMNIST",
    "ImageFolder",
    "ResidentDataModule",
    "cifar10h_counts",
]
