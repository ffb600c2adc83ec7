"""Statistics without a group of members, against those members alone in 60 digits."""

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import member_probs, softmax
from bvalign.analysis.groups import (
    Statistics,
    leave_one_out,
    left_out,
    left_out_sums,
    left_out_variance,
    loss_sums,
    member_groups,
    member_sums,
    residuals,
    set_values,
)
from tests.ensembles import random_ensemble
from tests.reference_losses import ensemble
from tests.reference_statistics import scale, statistics


def without_groups(logits, target):
    groups, given = member_groups(len(logits)), residuals(softmax(logits), target)
    values = set_values(leave_one_out(member_sums(given, groups)), given)
    return groups, left_out(values, leave_one_out(loss_sums(member_probs(logits), groups)), target)


@pytest.mark.parametrize(("members", "margin"), [(3, 0.0), (3, 8.0), (3, 70.0), (18, 6.0)])
def test_every_statistic_is_that_of_the_members_that_are_left(members, margin):
    """At a margin of 70 a right sample has 1 - p_y of 1e-30, whose digits are kept."""
    logits, target = ensemble(members, 5, 4, margin, seed=1)
    groups, found = without_groups(logits, target)
    assert len(Statistics._fields) == 31
    for row, gone in enumerate(groups.members):
        left = [m for m in range(members) if m not in gone]
        for n, label in enumerate(target.tolist()):
            expected = statistics(logits[left, n].tolist(), label)
            for name in Statistics._fields:
                plain = name.removesuffix("_jackknife")
                error = abs(getattr(found, name)[row, n].item() - expected[plain])
                # the variance of what is left, around the mean of all
                around = expected["risk"] if plain in ("variance", "variance_unbiased") else 0
                # a divergence from probabilities near one is a difference of ones
                near_one = 1 if name.startswith("kl_") else 0
                bound = scale(plain, expected) + around + near_one
                assert error <= 2e-13 * bound, (name, row, n)


def test_sums_over_samples_hold_what_a_mean_needs():
    logits, target = random_ensemble(members=5, samples=7, classes=4)
    _, found = without_groups(logits, target)
    sums = left_out_sums(found)
    assert sums.total.shape == (31, 5)
    for place, values in enumerate(found):
        both = 0.0
        for n in range(7):
            of_sample = values[:, n].tolist()
            both += 4 / 5 * sum((t - np.mean(of_sample)) ** 2 for t in of_sample)
        assert sums.both[place].item() == pytest.approx(both, rel=1e-11, abs=1e-28)
        np.testing.assert_allclose(sums.total[place].numpy(), values.numpy().sum(axis=1))


def test_the_jackknife_of_a_mean_of_members_is_its_textbook_variance():
    """Without one member the mean moves by (mean - t_m) / (M - 1): the variance is s² / M."""
    t = torch.tensor([1.0, 4.0, 9.0, 2.0]).double()
    without = (t.sum() - t) / 3
    torch.testing.assert_close(left_out_variance(without), t.var() / 4, rtol=1e-12, atol=0)
