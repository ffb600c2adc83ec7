"""scikit-learn's handwritten digits: 1,797 real images that come with the package."""

import numpy as np

from bvalign.data.datamodule import Arrays
from bvalign.data.resident import ResidentDataModule


class Digits(ResidentDataModule):
    """Handwritten digits, 8 x 8 grey values, bundled with scikit-learn; needs no download.

    Half of each class is for training (898 images), half for testing (899); the split is fixed.
    """

    name = "digits"
    class_names = tuple("0123456789")
    image_shape = (1, 8, 8)
    mean, std = (0.305,), (0.376,)

    def load(self) -> Arrays:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        # grey values are 0..16; 255 / 16 spreads them over uint8 without merging any
        images = np.round(digits.images[:, None] * (255 / 16)).astype(np.uint8)
        train, test = train_test_split(
            np.arange(len(images)), test_size=0.5, random_state=0, stratify=digits.target
        )
        train, test = np.sort(train), np.sort(test)
        return Arrays(images[train], digits.target[train], images[test], digits.target[test])
