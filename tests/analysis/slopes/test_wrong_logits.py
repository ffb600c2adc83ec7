"""Skewness of the noise of wrong classes: known distributions, and what must not enter it."""

import math

import numpy as np
import pytest
import torch

from bvalign.analysis.slopes.wrong_logits import CHUNK, wrong_logit_skewness

OF_GUMBEL = 1.1395470994


def ensemble(noise, members=16, samples=400, classes=10, seed=0):
    """Logits with margins and noise of the wrong classes; the label's own noise is large."""
    rng = np.random.default_rng(seed)
    logits = noise(rng, (members, samples, classes))
    target = rng.integers(classes, size=samples)
    logits[:, np.arange(samples), target] += 12
    return torch.from_numpy(logits), torch.from_numpy(target)


def gumbel_max(rng, size):
    return rng.gumbel(size=size)


@pytest.mark.parametrize(("classes", "lost"), [(4, 0.2), (5, 0.15), (10, 0.08)])
@pytest.mark.parametrize("sign", [1, -1])
def test_gumbel_noise_has_its_skewness(classes, lost, sign):
    """Scaling each sample to unit mean square costs a part that falls with its numbers."""
    logits, target = ensemble(lambda r, n: sign * 0.5 * r.gumbel(size=n), 32, 600, classes)
    found = wrong_logit_skewness(logits, target)
    assert 1 - lost < sign * found.value / OF_GUMBEL < 1.02
    assert abs(found.value) > 10 * found.standard_error


@pytest.mark.parametrize("classes", [3, 4, 10])
def test_symmetric_noise_has_none(classes):
    logits, target = ensemble(lambda r, n: r.standard_normal(n), classes=classes)
    found = wrong_logit_skewness(logits, target)
    assert abs(found.value) < 4 * found.standard_error
    assert found.standard_error < 0.1


def test_the_statistic_is_its_definition():
    logits, target = ensemble(gumbel_max, members=5, samples=7, classes=5)
    of_members = np.zeros(5)
    for n, y in enumerate(target.tolist()):
        z = np.delete(logits[:, n].numpy(), y, axis=1)
        u = z - z.mean(axis=0)
        u = u - u.mean(axis=1, keepdims=True)
        u = u / np.sqrt((u**2).mean())
        of_members += (u**3).mean(axis=1) / 7
    of_members /= (4 - 2) * (5 - 2) / math.sqrt(4 * 3 * 5 * 4)
    found = wrong_logit_skewness(logits, target)
    assert found.value == pytest.approx(of_members.mean(), rel=1e-12)
    assert found.standard_error == pytest.approx(of_members.std(ddof=1) / 5**0.5, rel=1e-12)


def test_the_standard_error_is_the_spread_over_ensembles():
    found = [wrong_logit_skewness(*ensemble(gumbel_max, 8, 60, 5, seed)) for seed in range(40)]
    ratio = np.mean([f.standard_error for f in found]) / np.std([f.value for f in found], ddof=1)
    assert 0.6 < ratio < 1.6  # a deviation of 40 draws is known to 11%


def test_noise_of_the_label_and_noise_that_classes_share_do_not_enter():
    logits, target = ensemble(lambda r, n: r.standard_normal(n))
    plain = wrong_logit_skewness(logits, target)
    rng = np.random.default_rng(1)
    other = logits + torch.from_numpy(rng.exponential(9, size=(16, 400, 1)))
    rows = torch.arange(400)
    other[:, rows, target] += torch.from_numpy(rng.exponential(9, size=(16, 400)))
    other += torch.from_numpy(rng.normal(size=(1, 400, 10)))  # and what members share
    found = wrong_logit_skewness(other, target)
    assert found.value == pytest.approx(plain.value, rel=1e-9)


def test_members_classes_and_samples_may_come_in_any_order():
    logits, target = ensemble(gumbel_max, members=5, samples=30, classes=6)
    plain = wrong_logit_skewness(logits, target)
    generator = torch.Generator().manual_seed(0)
    members, samples, classes = (torch.randperm(n, generator=generator) for n in logits.shape)
    moved = logits[members][:, samples][..., classes]
    found = wrong_logit_skewness(moved, classes.argsort()[target[samples]])
    assert found == pytest.approx(plain, rel=1e-10)


def test_samples_are_taken_piece_by_piece(monkeypatch):
    logits, target = ensemble(gumbel_max, members=5, samples=30, classes=6)
    plain = wrong_logit_skewness(logits, target)
    assert CHUNK > 5 * 30 * 6
    monkeypatch.setattr("bvalign.analysis.slopes.wrong_logits.CHUNK", 5 * 6 * 7)
    assert wrong_logit_skewness(logits, target) == pytest.approx(plain, rel=1e-12)


def test_there_is_none_of_two_classes_two_members_no_samples_or_infinite_logits():
    logits, target = ensemble(gumbel_max, members=4, samples=20, classes=5)
    for some, labels in (
        (logits[..., :2], target.clamp(max=1)),
        (logits[:2], target),
        (logits[:, :0], target[:0]),
    ):
        assert all(math.isnan(v) for v in wrong_logit_skewness(some, labels))
    infinite = logits.clone()
    infinite[1, 3, (target[3] + 1) % 5] = -torch.inf
    left = torch.arange(20) != 3
    expected = wrong_logit_skewness(logits[:, left], target[left])
    assert wrong_logit_skewness(infinite, target) == pytest.approx(expected, rel=1e-12)
    alike = logits[:1].repeat(4, 1, 1)
    assert wrong_logit_skewness(alike, target).value == 0
