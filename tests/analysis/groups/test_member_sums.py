"""Sums over sets of members, and the values they determine, against those members alone."""

import math

import mpmath
import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import member_probs, softmax
from bvalign.analysis.groups import (
    leave_one_out,
    loss_sums,
    member_groups,
    member_sums,
    of_samples,
    of_sets,
    residuals,
    set_values,
    unite,
)
from tests import reference
from tests.ensembles import random_ensemble

MEMBERS = (3, 18)  # groups of one member, and of one or two


def given_of(logits, target):
    return residuals(softmax(logits), target)


def others(groups, group):
    return [m for m in range(sum(groups.sizes)) if m not in groups.members[group]]


def sums_of(probs, logits, target, members):
    """All sums over some members, in loops; `probs` of all members."""
    samples, classes = probs.shape[1:]
    onehot = np.eye(classes)[target]
    q = np.abs(probs - onehot)
    centre = q.mean(axis=0)
    odds = np.log(1 - probs) - np.log(probs)
    found = {name: np.zeros((samples, classes)) for name in ("magnitude", "log_probs", "votes")}
    names = "centred centred_at_label square square_at_label uncertainty".split()
    found |= {name: np.zeros(samples) for name in names} | {"powers": np.zeros((samples, 4))}
    for m in members:
        for n, y in enumerate(target):
            d, p = q[m, n] - centre[n], probs[m, n]
            found["magnitude"][n] += q[m, n]
            found["centred"][n] += (d**2).sum()
            found["centred_at_label"][n] += d[y] ** 2
            found["square"][n] += (q[m, n] ** 2).sum()
            found["square_at_label"][n] += q[m, n, y] ** 2
            found["uncertainty"][n] += 1 - (p**2).sum()
            found["log_probs"][n] += np.log(p)
            found["votes"][n, logits[m, n].argmax()] += 1
            gap = odds[m, n, y] - odds[:, n, y].mean()
            found["powers"][n] += [gap, gap**2, gap**3, gap**4]
    return found


@pytest.mark.parametrize("members", MEMBERS)
def test_sums_of_groups_and_of_all_but_one_are_those_of_their_members(members):
    logits, target = random_ensemble(members=members, samples=5, classes=4)
    groups, given = member_groups(members), given_of(logits, target)
    probs = np.array([[reference.softmax(z.double().numpy()) for z in m] for m in logits])
    both = member_sums(given, groups), loss_sums(member_probs(logits), groups)
    for sums, rest in ((s, leave_one_out(s)) for s in both):
        for group, own in enumerate(groups.members):
            for found, who in ((sums, own), (rest, others(groups, group))):
                expected = sums_of(probs, logits.numpy(), target.numpy(), who)
                for name in set(found._fields) - {"count"}:
                    value = getattr(found, name)[group].numpy()
                    np.testing.assert_allclose(value, expected[name], rtol=1e-11, atol=1e-13)
                if "count" in found._fields:
                    assert found.count[group].item() == len(who)


@pytest.mark.parametrize("members", MEMBERS)
def test_values_of_any_union_are_those_of_its_members_alone(members):
    logits, target = random_ensemble(members=members, samples=5, classes=4)
    groups, given = member_groups(members), given_of(logits, target)
    rng = np.random.default_rng(0)
    unions = torch.from_numpy(rng.random((6, len(groups.members))) < 0.6)
    unions[0] = True
    unions[:, 0] |= ~unions.any(dim=1)
    values = set_values(unite(member_sums(given, groups), unions), given)
    for row, union in enumerate(unions):
        who = [m for group in torch.nonzero(union).flatten() for m in groups.members[group]]
        alone = reference.bias_variance(logits[who].numpy(), target.numpy())
        np.testing.assert_allclose(values.bias_sq[row].numpy(), alone["bias_sq"], rtol=1e-11)
        np.testing.assert_allclose(
            values.variance[row].numpy(), alone["variance"], rtol=1e-11, atol=1e-15
        )
        centre = softmax(logits[who]).mean(dim=0)
        assert torch.equal(values.correct[row], centre.argmax(dim=-1) == target)
        torch.testing.assert_close(values.largest[row], centre.amax(dim=-1), rtol=1e-12, atol=0)


def test_what_is_left_of_a_dominating_member_keeps_its_digits():
    """Without the last member 1 - p_y is e^-70, next to 0.3 with it: a difference would be zero."""
    logits = torch.zeros(4, 1, 3, dtype=torch.float64)
    logits[:, 0, 0] = torch.tensor([70.0, 71.0, 72.0, 0.5])
    groups, given = member_groups(4), given_of(logits, torch.tensor([0]))
    values = set_values(leave_one_out(member_sums(given, groups)), given)
    row = groups.members.index((3,))
    a = [2 / (2 + mpmath.exp(z)) for z in (70, 71, 72)]
    bias_sq = (sum(a) / 3) ** 2 * 1.5  # the two wrong classes share a
    assert float(values.bias_sq[row] / float(bias_sq)) == pytest.approx(1, rel=1e-13)
    assert values.bias_sq[row].item() < 1e-59


def test_values_of_members_that_agree_keep_digits_of_tiny_probabilities():
    logits = torch.tensor([70.0, 70.5, 71.0], dtype=torch.float64).reshape(3, 1, 1)
    logits = torch.cat([logits, torch.zeros(3, 1, 3)], dim=-1)
    groups, given = member_groups(3), given_of(logits, torch.tensor([0]))
    values = set_values(leave_one_out(member_sums(given, groups)), given)
    for row, (gone,) in enumerate(groups.members):
        a = [3 / (3 + mpmath.exp(z)) for z in np.delete([70.0, 70.5, 71.0], gone)]
        variance = (a[0] - a[1]) ** 2 / 4 * mpmath.mpf(4) / 3
        assert values.variance[row].item() == pytest.approx(float(variance), rel=1e-12, abs=0)


def test_residuals_are_magnitudes_and_log_odds_of_a_wrong_answer():
    logits = torch.tensor([[[70.0, 1.0, 0.0], [0.3, -0.2, 40.0]]], dtype=torch.float64)
    given = given_of(logits, torch.tensor([0, 2]))
    for n, y in enumerate((0, 2)):
        z = [mpmath.mpf(v) for v in logits[0, n].tolist()]
        total = sum(map(mpmath.exp, z))
        wrong = sum(mpmath.exp(v) for k, v in enumerate(z) if k != y)
        odds = float(mpmath.log(wrong) - z[y])
        assert given.odds[0, n].item() == pytest.approx(odds, rel=1e-14)
        for k, v in enumerate(z):
            expected = wrong / total if k == y else mpmath.exp(v) / total
            assert given.magnitude[0, n, k].item() == pytest.approx(float(expected), rel=1e-14)
    certain = given_of(torch.tensor([[[0.0, -math.inf]]]), torch.tensor([0]))
    assert certain.odds.item() == -math.inf
    wrong = given_of(torch.tensor([[[0.0, -math.inf]]]), torch.tensor([1]))
    assert wrong.odds.item() == math.inf


def test_some_samples_and_some_sets_are_those():
    logits, target = random_ensemble(members=5, samples=7)
    groups, given, rows = member_groups(5), given_of(logits, target), torch.tensor([1, 4, 6])
    some = of_samples(given, rows)
    for found, expected in zip(some, given_of(logits[:, rows], target[rows]), strict=True):
        assert found is expected is None or torch.equal(found, expected)
    assert of_samples(given, torch.arange(7)) is given
    values = set_values(leave_one_out(member_sums(given, groups)), given)
    for sets in (slice(1, 3), torch.tensor([1, 2])):
        part = of_sets(values, sets)
        assert torch.equal(part.bias_sq, values.bias_sq[1:3])
        assert torch.equal(part.sums.powers, values.sums.powers[1:3])


@pytest.mark.parametrize("members", [1, 2, 5, 7, 12])
def test_sums_without_one_set_are_those_of_the_others(members):
    logits, _ = random_ensemble(members=members)
    sums = loss_sums(member_probs(logits), member_groups(members))
    for found, values in zip(leave_one_out(sums), sums, strict=True):
        for place in range(members):
            kept = [other for other in range(members) if other != place]
            torch.testing.assert_close(found[place], values[kept].sum(dim=0), rtol=1e-14, atol=0)
