"""Data sets for runs on the simulated device."""

from bvalign.data import Augmentation, Digits


class Shifted(Digits):
    """Digits with random crops and flips."""

    name = "shifted"
    augmentation = Augmentation(padding=1, flip=True)
