"""Numbers of ensembles of any size: against loops over all subsets, and known truths."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from bvalign.analysis.groups import member_groups
from bvalign.analysis.sizes import Drawn, OfSets, curve_of_sets, unions
from bvalign.analysis.sizes.size_curve import lagrange
from tests.analysed import analysed

CLASSES = 3


def ensemble(members, samples, seed=0, noise=1.5):
    generator = torch.Generator().manual_seed(seed)
    mean = 2 * torch.randn(samples, CLASSES, generator=generator, dtype=torch.float64)
    target = torch.randint(CLASSES, (samples,), generator=generator)
    spread = noise * torch.randn(members, samples, CLASSES, generator=generator).double()
    return mean + spread, target


def over_subsets(logits, target, size):
    """Error, cross-entropy and risk of the mean of every subset of that size, averaged."""
    probs = logits.softmax(dim=-1).numpy()
    y, found = target.numpy(), []
    for chosen in combinations(range(len(probs)), size):
        mean = probs[list(chosen)].mean(axis=0)
        own = mean[np.arange(len(y)), y]
        risk = ((mean - np.eye(CLASSES)[y]) ** 2).sum(axis=1)
        found.append(((mean.argmax(axis=1) != y).mean(), -np.log(own).mean(), risk.mean()))
    return np.mean(found, axis=0)


@pytest.mark.parametrize(("members", "sizes"), [(5, (1, 2, 5)), (8, (1, 2, 8)), (2, (1, 2))])
def test_up_to_all_members_numbers_are_means_over_all_subsets(members, sizes):
    logits, target = ensemble(members, 70)
    found = analysed(logits, target, 31)
    for size in sizes:
        error, entropy, risk = over_subsets(logits, target, size)
        assert found.sizes.error.at(size).value == pytest.approx(error, abs=1e-7)
        assert found.sizes.cross_entropy.at(size).value == pytest.approx(entropy, rel=1e-6)
        assert found.risk_curve.at(size).value == pytest.approx(risk, rel=1e-12)
    whole = found.calibration.errors["equal_width"]["confidence"].squared_debiased
    assert found.sizes.calibration.at(members).value == pytest.approx(whole.value, abs=1e-6)
    assert found.sizes.error.at(members).value == pytest.approx(1 - found.accuracy.value)


def test_four_of_eight_parts_are_as_balanced_as_all_of_them():
    sets = unions(member_groups(8))
    fours = sets.groups[(sets.level[2] > 0)]
    assert fours.shape == (14, 8)
    for three in combinations(range(8), 3):
        assert fours[:, list(three)].all(dim=1).sum() == 1
    assert sets.without.sum(dim=-1) == pytest.approx(torch.ones(8, 4))
    # every other member is in as many of the sets without a part
    counts = ((sets.without[0, 2] > 0).double() @ sets.groups.double()).tolist()
    assert sorted(set(counts)) == [0.0, 4.0]


def test_members_beyond_eight_count_alike_in_the_numbers_of_one_and_of_all():
    logits, target = ensemble(19, 60, seed=3)
    found = analysed(logits, target)
    assert found.sizes.error.at(1).value == pytest.approx(found.means["error_rate"].value)
    assert found.sizes.error.at(19).value == pytest.approx(1 - found.accuracy.value)
    assert found.sizes.calibration.inverse[0] < 1  # single members have no mean to calibrate


def test_a_polynomial_in_one_over_the_size_is_met():
    nodes = [1.0, 0.5, 0.25, 0.125]
    for at in (0.0, 0.03, 0.2, 0.4, 0.9):
        weights = lagrange(at, nodes)
        parabola = [1 + 2 * t - 3 * t**2 for t in nodes]
        assert np.dot(weights, parabola) == pytest.approx(1 + 2 * at - 3 * at**2)
    assert lagrange(0.125, nodes) == [0, 0, 0, 1]


def test_variances_over_members_of_a_linear_statistic_are_those_of_a_mean():
    """Each set's value is the mean of its members' values plus a / size: nothing but a mean."""
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(8, 40, generator=generator, dtype=torch.float64)
    sets = unions(member_groups(8))
    members = [list(g) for g in member_groups(8).members]
    order = torch.tensor([m for g in members for m in g])
    of_sets = (sets.groups.double() @ values[order]) * sets.inverse[:, None]
    of_sets += 3 * sets.inverse[:, None]
    curve = curve_of_sets(OfSets(of_sets), sets, Drawn(torch.arange(40), None))
    at = curve.at(math.inf)
    means = values.mean(dim=1)
    assert at.value == pytest.approx(float(means.mean()))
    assert at.variances.members == pytest.approx(float(means.var()) / 8)
    assert at.variances.both == pytest.approx(float(values.var(dim=0).mean()) / 8 / 40)
    assert at.variances.samples == pytest.approx(float(values.mean(dim=0).var()) / 40)
    assert curve.change(8, 16).value == pytest.approx(-3 / 16)
    assert curve.change(8, 16).variances.members == pytest.approx(0, abs=1e-12)


def test_clusters_and_a_part_of_the_samples_count_as_they_should():
    logits, target = ensemble(6, 50, seed=5)
    twice = analysed(logits.repeat(1, 2, 1), target.repeat(2), clusters=torch.arange(50).repeat(2))
    once = analysed(logits, target)
    for size in (3, 6, math.inf):
        for name in ("error", "cross_entropy", "calibration"):
            a, b = (getattr(of.sizes, name).at(size) for of in (twice, once))
            if name != "calibration":  # whose noise counts samples, not clusters
                assert a.value == pytest.approx(b.value)
                assert a.variances.samples == pytest.approx(b.variances.samples)
    sets, some = unions(member_groups(6)), torch.arange(0, 50, 2)
    whole = torch.arange(50.0).double()
    influence = whole[some].expand(len(sets.groups), -1) + 0.0
    curve = curve_of_sets(OfSets(influence, whole=whole), sets, Drawn(some, None))
    assert curve.at(6).value == pytest.approx(24.5)  # of all samples
    assert curve.at(6).variances.samples == pytest.approx(float(whole.var()) / 50)


def test_a_vote_of_zero_has_no_cross_entropy():
    votes = torch.full((4, 20, 2), -math.inf)
    votes[..., 0] = 0.0
    votes[0, :5] = torch.tensor([-math.inf, 0.0])
    found = analysed(votes, torch.zeros(20, dtype=torch.int64))
    assert "zero" in found.sizes.cross_entropy.at(4).reason
    assert found.sizes.error.at(1).value == pytest.approx(1 / 16)
