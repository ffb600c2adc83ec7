"""Log bias_sq and log variance from log odds, and their errors: brute force and simulation."""

import itertools

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import softmax
from bvalign.analysis.groups import (
    leave_one_out,
    member_groups,
    member_sums,
    residuals,
    set_values,
)
from bvalign.analysis.slopes.logit_values import (
    OddsValues,
    errors,
    has_spread,
    log_values,
    odds_values,
)
from bvalign.analysis.slopes.noise_families import noise_table, noise_values
from bvalign.analysis.slopes.noise_shape import CentralSums
from bvalign.analysis.slopes.quadrature import LogOdds, derivatives, expectations
from tests.ensembles import aligned_ensemble


def table_of(skewness=0.0, kurtosis=0.0):
    return noise_table(np.array([-1.0, 1.0]), np.array([[skewness, kurtosis]] * 2))


def from_odds(members):
    """Values of one set, its members' log odds (members, samples) given; no other classes."""
    d = members - members.mean(axis=0)
    sums = (torch.from_numpy((d**power).sum(axis=0))[None] for power in (2, 3, 4))
    mu, sd = (
        torch.from_numpy(v)[None] for v in (members.mean(axis=0), members.std(axis=0, ddof=1))
    )
    none = torch.zeros_like(mu)
    return OddsValues(LogOdds(mu, sd), CentralSums(*sums), none, none, none == 0)


def test_values_of_each_set_are_those_of_its_members():
    logits, target = aligned_ensemble(members=5, samples=7, classes=4, sigma=3.0)
    groups, given = member_groups(5), residuals(softmax(logits), target)
    values = set_values(leave_one_out(member_sums(given, groups)), given)
    found = odds_values(values, given.odds.mean(dim=0))
    q, odds = given.magnitude.numpy(), given.odds.numpy()
    for row, (gone,) in enumerate(groups.members):
        left, own = np.delete(odds, gone, axis=0), np.delete(q, gone, axis=0)
        np.testing.assert_allclose(found.odds.mu[row].numpy(), left.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found.odds.sd[row].numpy(), left.std(axis=0, ddof=1), rtol=1e-9)
        for power, part in zip((2, 3, 4), found.sums, strict=True):
            central = ((left - left.mean(axis=0)) ** power).sum(axis=0)
            np.testing.assert_allclose(part[row].numpy(), central, rtol=1e-8, atol=1e-9)
        for n, y in enumerate(target.tolist()):
            pairs = sum(own[a, n] * own[b, n] for a in range(4) for b in range(4) if a != b)
            share = np.clip(pairs.sum() / pairs[y], 1, 2)
            assert found.bias_share[row, n].item() == pytest.approx(np.log(share), rel=1e-7)
            variances = own[:, n].var(axis=0)
            share = max(variances.sum() / variances[y], 1)
            assert found.variance_share[row, n].item() == pytest.approx(np.log(share), rel=1e-7)
        mean = softmax(logits).numpy()[[m for m in range(5) if m != gone]].mean(axis=0)
        assert found.usable[row].tolist() == (mean.argmax(axis=-1) == target.numpy()).tolist()


def test_logarithms_are_those_of_the_expectations_with_the_other_classes():
    logits, target = aligned_ensemble(members=8, samples=20, classes=4)
    groups, given = member_groups(8), residuals(softmax(logits), target)
    values = set_values(leave_one_out(member_sums(given, groups)), given)
    found = odds_values(values, given.odds.mean(dim=0))
    table = table_of(0.2, 0.3).repeated(8)
    x, y = log_values(found, table)
    mean, variance = expectations(found.odds, table)
    torch.testing.assert_close(x.exp(), mean.square() * found.bias_share.exp())
    torch.testing.assert_close(y.exp(), variance * found.variance_share.exp())


def test_many_normal_log_odds_have_the_values_of_their_members():
    """With 200,000 members nothing has to be assumed: plain means and variances."""
    rng = np.random.default_rng(0)
    odds = torch.from_numpy(rng.uniform(-6, -2, size=4) + 0.8 * rng.standard_normal((200_000, 4)))
    logits = torch.stack([-odds, torch.zeros_like(odds)], dim=-1)
    x, y = log_values(from_odds(odds.numpy()), table_of())
    probs = softmax(logits)
    bias_sq = (probs.mean(dim=0)[:, 1] ** 2).log()
    torch.testing.assert_close(x[0], bias_sq, rtol=0, atol=0.02)
    torch.testing.assert_close(y[0], probs[..., 1].var(dim=0).log(), rtol=0, atol=0.05)


@pytest.mark.parametrize("members", [3, 4, 5])
def test_the_covariance_of_the_errors_is_unbiased(members):
    """Over all equally likely draws of members from four values, at fixed derivatives, exactly.

    Of the excess kurtosis in the variance of a variance a fraction 1 / (M - 1) is missing.
    """
    population = np.array([0.0, 1.0, 3.0, 7.5]) / 4 - 6
    draws = np.array(list(itertools.product(population, repeat=members))).T
    d = draws - draws.mean(axis=0)
    at = LogOdds(*(torch.full((1, d.shape[1]), v, dtype=torch.float64) for v in (-5.0, 0.7)))
    sums = CentralSums(*(torch.from_numpy((d**r).sum(axis=0))[None] for r in (2, 3, 4)))
    none, table = torch.zeros_like(at.mu), table_of(0.3, 0.2)
    found = errors(OddsValues(at, sums, none, none, none == 0), table, members)
    (mean, variance), by = expectations(at, table), derivatives(at, table)
    by_mean = [2 * by.mean_by_mu / mean, by.variance_by_mu / variance]
    by_sd = [2 * by.mean_by_sd / mean, by.variance_by_sd / variance]
    gradient = np.array([[v[0, 0].item() for v in by_mean], [v[0, 0].item() / 1.4 for v in by_sd]])
    exact = np.cov(draws.mean(axis=0), draws.var(axis=0, ddof=1), bias=True)
    second, fourth = (np.mean((population - population.mean()) ** r) for r in (2, 4))
    exact[1, 1] -= (fourth - 3 * second**2) / (members * (members - 1))
    expected = gradient.T @ exact @ gradient  # of log bias_sq and log variance
    for part, place in zip(found, ((0, 0), (1, 1), (0, 1)), strict=True):
        assert part.mean().item() == pytest.approx(expected[place], rel=1e-10)


@pytest.mark.parametrize("shape", [(0.0, 0.0), (0.5, 0.4)])
def test_errors_predict_the_scatter_over_ensembles(shape):
    """4,000 ensembles of 24 members on one sample; the derivatives cost 5% at that M."""
    rng = np.random.default_rng(0)
    scores = np.linspace(-8, 14, 56)
    noise = np.interp(rng.standard_normal((24, 4000)), scores, noise_values(*shape))
    values, table = from_odds(-7 + 0.9 * noise), table_of(*shape)
    x, y = (v[0] for v in log_values(values, table))
    found = errors(values, table, 24)
    scatter = np.cov(x, y)
    for part, expected in zip(found, (scatter[0, 0], scatter[1, 1], scatter[0, 1]), strict=True):
        assert part.mean().item() == pytest.approx(expected, rel=0.1)


def test_certain_members_and_equal_ones_have_no_spread():
    odds = torch.tensor(
        [[-5.0, -torch.inf, 2.0, torch.inf], [-4.0, -3.0, 2.0, 0.0]], dtype=torch.float64
    )
    assert has_spread(odds).tolist() == [True, False, False, False]
