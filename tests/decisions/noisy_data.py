"""Ensembles whose members know the true class, and labels of which some are wrong."""

import numpy as np
import torch

from tests.analysed import analysed


def noisy_data(samples=600, classes=6, members=5, *, noise, margin=4.0, seed=0):
    """Logits with noise of one standard deviation, true classes, and labels drawn from rows of T.

    Margins are exponential, so that some samples are hard; T is `noise`.
    """
    rng = np.random.default_rng(seed)
    true = rng.integers(classes, size=samples)
    label = np.array([rng.choice(classes, p=noise[t]) for t in true])
    centre = np.eye(classes)[true] * rng.exponential(margin, size=(samples, 1))
    logits = centre + rng.normal(size=(members, samples, classes))
    return torch.from_numpy(logits), torch.from_numpy(true), torch.from_numpy(label)


def symmetric(classes, rate):
    noise = np.full((classes, classes), rate / (classes - 1))
    np.fill_diagonal(noise, 1 - rate)
    return noise


def next_class(classes, rate):
    """Wrong labels are all of the following class."""
    return (1 - rate) * np.eye(classes) + rate * np.roll(np.eye(classes), 1, axis=1)


def noisy_analysis(**options):
    logits, true, label = noisy_data(**options)
    return analysed(logits, label), true != label
