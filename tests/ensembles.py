"""Made-up ensembles whose statistics are known or simple."""

import numpy as np
import torch

from bvalign import Predictions


def random_ensemble(members=3, samples=5, classes=4, scale=2.0, seed=0):
    """Logits (members, samples, classes) and labels; every axis has its own length."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(members, samples, classes, generator=generator)
    target = torch.randint(classes, (samples,), generator=generator)
    return logits, target


def aligned_ensemble(members=12, samples=900, classes=5, sigma=1.0, seed=0):
    """Logits with margins spread over decades and Gaussian noise: light tails, slope near one."""
    rng = np.random.default_rng(seed)
    target = rng.integers(classes, size=samples)
    logits = sigma * rng.standard_normal((members, samples, classes))
    logits[:, np.arange(samples), target] += rng.uniform(8, 20, size=samples)
    return torch.from_numpy(logits), torch.from_numpy(target)


def mixed_ensemble(members=5, samples=80, classes=3, seed=0):
    """Logits with margins of a few standard deviations: some samples are right, some wrong."""
    rng = np.random.default_rng(seed)
    target = rng.integers(classes, size=samples)
    logits = 1.5 * rng.standard_normal((members, samples, classes))
    logits[:, np.arange(samples), target] += rng.uniform(-1, 6, size=samples)
    return torch.from_numpy(logits), torch.from_numpy(target)


def calibrated_members(seed, samples=4000):
    """Members with Dirichlet noise around a mean per sample, and labels drawn from that mean.

    Given the mean p̄ of infinitely many members, labels follow p̄, members p are
    Dirichlet(5 p̄), and votes drawn from the members have the expected shares p̄.
    """
    torch.manual_seed(seed)
    mean = torch.softmax(2 * torch.randn(samples, 4).double(), dim=-1)
    target = torch.multinomial(mean, 1).squeeze(1)
    members = torch.distributions.Dirichlet(5 * mean).sample((5,)).clamp(min=1e-300)
    votes = torch.stack([torch.multinomial(p, 1).squeeze(1) for p in members])
    return members.log(), votes, target


def save_npz(path, logits, target, **more):
    """Writes predictions as one .npz file and gives its path."""
    np.savez(path, logits=np.asarray(logits), labels=np.asarray(target), **more)
    return path


def predictions_of(logits, target=None, **more):
    """Opened predictions of logits (members, samples, classes) that are in memory."""
    members, samples, classes = logits.shape
    fields = {"index": np.arange(samples), "members": tuple(range(members))} | more
    return Predictions(
        read=lambda start, stop: logits[:, start:stop],
        target=None if target is None else np.asarray(target),
        num_classes=classes,
        **fields,
    )
