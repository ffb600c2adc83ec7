"""MNIST at the size of scikit-learn's digits, to pre-train networks that then learn those.

What mnist-8x8.safetensors and mnist.safetensors here are (then copied from RUN/members/0000/):

    PYTHONPATH=experiments/studies/shared_start bvalign fit --data=small_mnist.SmallMNIST \
        --model.arch=cnn --model.members=1 --trainer.max_epochs=4 --trainer.default_root_dir=RUN
    bvalign fit --data=MNIST --model.arch=cnn --model.width=8 --model.members=1 \
        --trainer.max_epochs=4 --trainer.default_root_dir=RUN
"""

import numpy as np

from bvalign.data import MNIST


class SmallMNIST(MNIST):
    """Handwritten digits, 8 x 8 grey values: means over 3 x 3 pixels, without MNIST's margin."""

    name = "mnist-8x8"
    image_shape = (1, 8, 8)
    mean, std = (0.177,), (0.281,)

    def load(self):
        arrays = super().load()
        small = [_means(images) for images in (arrays.train_images, arrays.test_images)]
        return arrays._replace(train_images=small[0], test_images=small[1])


def _means(images):
    """(samples, 1, 28, 28) to (samples, 1, 8, 8); the outer two pixels are empty."""
    blocks = images[..., 2:26, 2:26].reshape(-1, 1, 8, 3, 8, 3)
    return np.round(blocks.mean(axis=(3, 5))).astype(np.uint8)
