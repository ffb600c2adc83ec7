"""What the estimated shape adds to the variances of a number: gradients and sums in loops."""

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import softmax
from bvalign.analysis.groups import member_groups, residuals
from bvalign.analysis.sizes import unions
from bvalign.analysis.slopes.drawn import drawn_block
from bvalign.analysis.slopes.noise_families import noise_table
from bvalign.analysis.slopes.noise_pooling import pool_noise
from bvalign.analysis.slopes.noise_shape import PooledShape, k_statistics
from bvalign.analysis.slopes.quadrature import LogOdds, expectations
from bvalign.analysis.slopes.shape_part import log_gradients, shape_part

MEMBERS, SAMPLES = 6, 100


def pooled(odds):
    """Log odds of the drawn samples and the change of their shape, from log odds (M, N)."""
    odds = torch.from_numpy(odds)
    logits = torch.stack([-odds, torch.zeros_like(odds)], dim=-1)
    target, groups = torch.zeros(odds.shape[1], dtype=torch.int64), member_groups(len(odds))
    block = drawn_block(residuals(softmax(logits), target), groups, unions(groups)).odds
    return block, pool_noise(block, groups, len(target)).change


def noisy(rng, members, samples):
    return rng.uniform(-12, -6, size=samples) + 0.6 * (rng.gamma(3.0, size=(members, samples)) - 3)


def shape_of(odds):
    d = odds - odds.mean(axis=0)
    k = k_statistics(*((d**power).sum(axis=0) for power in (2, 3, 4)), len(odds))
    return PooledShape(odds.mean(axis=0), k)


def test_gradients_are_those_of_the_logarithms():
    """Of a weighted mean of log variance, by each coefficient of the lines."""
    odds = noisy(np.random.default_rng(0), MEMBERS, SAMPLES)
    block, change = pooled(odds)
    by = log_gradients(block, change, block.usable[0], MEMBERS)
    weights = torch.linspace(0, 2, SAMPLES, dtype=torch.float64)
    at = LogOdds(*(torch.from_numpy(v)[None] for v in (odds.mean(0), odds.std(0, ddof=1))))

    def number(moved):
        lines = change.lines + change.shape.basis(change.points) @ moved
        _, variance = expectations(at, noise_table(change.points, lines))
        return float((weights * variance[0].log()).mean())

    for place in np.ndindex(change.shape.coefficients.shape):
        step = np.zeros_like(change.shape.coefficients)
        step[place] = 1e-3
        term, kind = place
        found = (weights * by.variance[kind] * by.basis[:, term]).mean().item()
        assert found == pytest.approx((number(step) - number(-step)) / 2e-3, rel=0.05)


def test_the_parts_are_their_sums():
    rng = np.random.default_rng(1)
    odds = noisy(rng, MEMBERS, SAMPLES)
    _, change = pooled(odds)
    by_level, basis = rng.normal(size=(2, SAMPLES)), change.shape.basis(odds.mean(axis=0))
    given = change, torch.from_numpy(by_level), torch.from_numpy(basis)
    found = shape_part(*given, None)

    whole = shape_of(odds)
    gradient = basis.T @ by_level.T / SAMPLES
    weights, own = whole.weights(gradient), whole.influence(whole.k)
    members, moved = [], []
    for (gone,) in member_groups(MEMBERS).members:
        without = shape_of(np.delete(odds, gone, axis=0))
        members.append((gradient * (without.coefficients - whole.coefficients)).sum())
        moved.append((weights * (whole.influence(without.k) - own)).sum(axis=0))
    np.testing.assert_allclose(found.members.numpy(), members, rtol=1e-6, atol=1e-12)
    both = 5 / 6 * (np.array(moved) ** 2).sum() / SAMPLES**2
    assert found.both == pytest.approx(both, rel=1e-6)
    for band in whole.bands:
        own[:, band] -= own[:, band].mean(axis=1, keepdims=True)
    psi = (weights * own).sum(axis=0)
    assert found.samples == pytest.approx(psi.var(ddof=1) / SAMPLES, rel=1e-6)
    clustered = shape_part(*given, torch.arange(SAMPLES) // 2)
    sums = psi.reshape(-1, 2).sum(axis=1)
    assert clustered.samples == pytest.approx(sums.var(ddof=1) * 50 / SAMPLES**2, rel=1e-6)


@pytest.mark.slow
def test_the_part_over_samples_is_the_spread_over_draws_of_samples():
    """Of the mean skewness itself: 50 draws know a variance to 20%."""
    rng, values, parts = np.random.default_rng(2), [], []
    level = torch.tensor([[1.0], [0.0]], dtype=torch.float64).repeat(1, 200)
    for _ in range(50):
        odds = noisy(rng, 8, 200)
        _, change = pooled(odds)
        basis = change.shape.basis(odds.mean(axis=0))
        parts.append(shape_part(change, level, torch.from_numpy(basis), None).samples)
        values.append((basis @ change.shape.coefficients)[:, 0].mean())
    assert np.mean(parts) == pytest.approx(np.var(values, ddof=1), rel=0.5)
