"""Training labels that are wrong on purpose."""

import numpy as np
from jaxtyping import Int


def symmetric_noise(
    target: Int[np.ndarray, " samples"],
    num_classes: int,
    share: float,
    generator: np.random.Generator,
) -> Int[np.ndarray, " samples"]:
    """Labels of which round(share x samples) are another class, drawn uniformly.

    Args:
        target: class ids.
        num_classes: K >= 2.
        share: of the labels that become wrong, in [0, 1].
        generator: which ones, and which class instead.

    >>> noisy = symmetric_noise(np.zeros(10, int), 3, 0.2, np.random.default_rng(0))
    >>> int((noisy != 0).sum())
    2
    """
    wrong = generator.permutation(len(target))[: round(share * len(target))]
    noisy = target.copy()
    noisy[wrong] = (target[wrong] + generator.integers(1, num_classes, len(wrong))) % num_classes
    return noisy
