"""Synthetic label noise."""

import numpy as np
from jaxtyping import Int


def symmetric_noise(
    target: Int[np.ndarray, " samples"],
    num_classes: int,
    fraction: float,
    generator: np.random.Generator,
) -> Int[np.ndarray, " samples"]:
    """Replaces round(fraction x samples) labels by another class, drawn uniformly.

    Args:
        target: class ids.
        num_classes: K >= 2.
        fraction: of the labels to replace, in [0, 1].
        generator: draws which ones, and the class of each.

    >>> noisy = symmetric_noise(np.zeros(10, int), 3, 0.2, np.random.default_rng(0))
    >>> int((noisy != 0).sum())
    2
    """
    wrong = generator.permutation(len(target))[: round(fraction * len(target))]
    noisy = target.copy()
    noisy[wrong] = (target[wrong] + generator.integers(1, num_classes, len(wrong))) % num_classes
    return noisy
