"""Data sets with wrong labels of one kind: each is the class after the right one."""

import numpy as np

from bvalign.data import Digits, FashionMNIST


class NextClass:
    """Replaces that fraction of the training labels by the following class."""

    def _with_noise(self, target: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        wrong = generator.permutation(len(target))[: round(self.label_noise * len(target))]
        noisy = target.copy()
        noisy[wrong] = (target[wrong] + 1) % self.num_classes
        return noisy


class NextDigits(NextClass, Digits):
    """Digits with such labels."""

    name = "digits-next"


class NextFashion(NextClass, FashionMNIST):
    """Fashion-MNIST with such labels."""

    name = "fashion-mnist-next"
