"""The shape of an ensemble's noise: without each group, shrunk where members share it, assumed."""

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from bvalign.analysis.decompositions import softmax
from bvalign.analysis.groups import member_groups, residuals
from bvalign.analysis.sizes import unions
from bvalign.analysis.slopes.drawn import drawn_block, set_sizes
from bvalign.analysis.slopes.noise_families import noise_values
from bvalign.analysis.slopes.noise_pooling import pool_noise
from bvalign.analysis.slopes.noise_shape import PooledShape, k_statistics
from tests.ensembles import aligned_ensemble


def two_classes(odds):
    """Logits (members, samples, 2) whose log odds of a wrong answer are given."""
    odds = torch.as_tensor(odds)
    return torch.stack([-odds, torch.zeros_like(odds)], dim=-1)


def block_of(logits, target):
    groups = member_groups(len(logits))
    return drawn_block(residuals(softmax(logits), target), groups, unions(groups)), groups


def pooled(logits, target):
    block, groups = block_of(logits, target)
    return pool_noise(block.odds, groups, len(target))


def shape_of(odds):
    d = odds - odds.mean(axis=0)
    return PooledShape(
        odds.mean(axis=0), k_statistics(*((d**r).sum(axis=0) for r in (2, 3, 4)), len(odds))
    )


@pytest.mark.parametrize("members", [5, 8, 20])
def test_the_shape_without_a_group_is_that_of_the_other_members(members):
    rng = np.random.default_rng(members)
    odds = rng.uniform(-12, -6, size=200) + rng.gumbel(size=(members, 200))
    found = pooled(two_classes(odds), torch.zeros(200, dtype=torch.int64)).change
    whole = shape_of(odds)
    np.testing.assert_allclose(found.shape.coefficients, whole.coefficients, rtol=1e-8)
    groups = member_groups(members)
    own = whole.influence(whole.k)
    for row, gone in enumerate(groups.members):
        left = np.delete(odds, gone, axis=0)
        without = shape_of(left)
        expected = without.coefficients - whole.coefficients
        np.testing.assert_allclose(found.change[row], expected, rtol=1e-6, atol=1e-9)
        moved = whole.influence(without.k) - own
        np.testing.assert_allclose(found.influences[row], moved, rtol=1e-6, atol=1e-8)
    kurtoses = np.array(
        [row[:, 1] @ whole.basis(whole.centres).mean(axis=0) for row in found.change]
    )
    number = len(kurtoses)
    error = np.sqrt(((kurtoses - kurtoses.mean()) ** 2).sum() * (number - 1) / number)
    assert found.kurtosis == pytest.approx(whole.of_bands[:, 1].mean(), rel=1e-9)
    assert found.kurtosis_error == pytest.approx(error, rel=1e-6)


def test_a_shape_of_independent_noise_stays_and_one_that_members_share_shrinks():
    """Gamma noise of each sample, and one temperature of each member for all samples."""
    rng = np.random.default_rng(0)
    mu = rng.uniform(-12, -6, size=800)
    noise = rng.gamma(2.0, size=(8, 800)) - 2
    shared = 0.1 * mu * rng.gumbel(size=(8, 1)) + 0.05 * rng.normal(size=(8, 800))
    kept = []
    for part in (noise, shared):
        found = pooled(two_classes(mu + part), torch.zeros(800, dtype=torch.int64)).change
        plain = found.shape.basis(found.points) @ found.shape.coefficients
        ratio = found.lines / plain
        assert np.ptp(ratio, axis=0).max() < 1e-9  # one factor for skewness, one for kurtosis
        kept.append(ratio[0])
    assert (kept[0] > 0.9).all()
    assert (kept[1] < 0.6).all()


@pytest.mark.parametrize(
    ("members", "samples", "assumed"),
    [(3, 200, True), (4, 200, True), (5, 200, False), (5, 29, True)],
)
def test_few_members_or_samples_have_normal_noise(members, samples, assumed):
    found = pooled(*aligned_ensemble(members=members, samples=samples))
    assert (found.change is None) == assumed
    if assumed:
        for table in (found.table, found.heavy):
            for values in table.values[0]:
                np.testing.assert_array_equal(values.numpy(), noise_values(0.0, 0.0))


def test_two_members_have_no_noise_to_pool():
    assert pooled(*aligned_ensemble(members=2, samples=60)) is None


def test_the_score_is_that_of_one_member_on_one_of_all_correct_samples():
    logits, target = aligned_ensemble(members=6, samples=80)
    block, groups = block_of(logits, target)
    assert block.odds.usable[0].all()
    assert pool_noise(block.odds, groups, 80).score == pytest.approx(-ndtri(1 / 480), rel=1e-9)
    more = pool_noise(block.odds, groups, 8000).score  # of which these are the drawn ones
    assert more == pytest.approx(-ndtri(1 / 48_000), rel=1e-9)


def test_sets_are_all_members_then_all_but_each_group_then_smaller_ensembles():
    groups = member_groups(20)
    sizes = set_sizes(groups).tolist()
    assert sizes[0] == 20
    assert sizes[1:17] == [20 - size for size in groups.sizes]
    assert len(sizes) == 1 + 16 + len(groups.smaller)


def test_samples_without_log_odds_are_no_part_of_the_shape():
    logits, target = aligned_ensemble(members=6, samples=120)
    more = torch.cat([logits, torch.zeros(6, 2, 5)], dim=1)
    more[:, 120, 0] = 800  # certain to rounding
    more[:, 121, 1] = 9.0  # all members alike
    labels = torch.cat([target, torch.tensor([0, 1])])
    plain, found = pooled(logits, target).change, pooled(more, labels).change
    np.testing.assert_array_equal(found.lines, plain.lines)
    block = block_of(more, labels)[0].odds
    assert not block.usable[:, 120:].any()
    assert not block.mu[:, 120:].any()
