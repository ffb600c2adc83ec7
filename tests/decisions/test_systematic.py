"""Systematic or chance: kinds of errors, numbers of groups, and what a reader is told."""

import json
import math

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import error_kinds
from bvalign.decisions.systematic import systematic_or_chance
from bvalign.decisions.systematic.group_numbers import NAMES
from bvalign.predictions import Groups
from tests.analysed import analysed, estimates
from tests.ensembles import random_ensemble
from tests.reference_statistics import statistics


def of_votes(votes, target, num_classes=3):
    """An analysis of members (members, samples) that only vote."""
    logits = torch.full((*votes.shape, num_classes), -torch.inf).double()
    return analysed(logits.scatter(-1, votes.unsqueeze(-1), 0.0), target)


def test_kinds_of_errors_by_hand():
    """Ten members, label 0, rows of votes: nine for 1, eight for 1, 5 + 5 wrong, right, tie."""
    rows = [[1] * 9 + [0], [1] * 8 + [0] * 2, [1] * 5 + [2] * 5, [0] * 9 + [2], [1] * 10]
    found = systematic_or_chance(of_votes(torch.tensor(rows).T, torch.zeros(5, dtype=torch.long)))
    numbers = {name: estimate.value for name, estimate in found.numbers.items()}
    assert numbers["ensemble_error"] == pytest.approx(4 / 5)
    assert numbers["systematic"] == pytest.approx(2 / 5)
    assert numbers["chance"] == pytest.approx(1 / 5)
    assert numbers["systematic_share"] == pytest.approx(1 / 2)
    columns = {name: column.values.tolist() for name, column in found.columns().items()}
    assert columns["consistently_wrong"] == pytest.approx([0.9, 0.8, 0.5, 0.1, 1.0])
    share = columns["variance_share"]
    # n votes differ from the others: variance n (10-n) / 45, of a risk of 2 for each wrong one
    assert share == pytest.approx([1 / 9, 2 / 9, 5 / 18, 1.0, 0.0])
    assert [row["index"] for row in found.systematic] == [4, 0]
    assert [row["index"] for row in found.chance] == [1]
    (pair,) = found.confusions
    assert (pair["label"], pair["wrong"], pair["samples"]) == ("0", "1", 2)
    assert pair["fraction"].value == pytest.approx(2 / 5)
    assert found.summary()["nearly_all"] == 9
    card = found.card()
    assert "2 of the ensemble's 4 errors (50.0%, 95% CI" in card.answer
    assert "at least 9 of 10 members" in card.answer
    assert card.number is found.numbers["systematic_share"]


def test_all_of_few_members_are_nearly_all():
    correct, yes = torch.tensor([False, False]), torch.tensor([True, True])
    share = torch.tensor([1.0, 8 / 9]).double()
    assert error_kinds(correct, yes, share, share).systematic.tolist() == [True, False]
    assert error_kinds(correct, yes, share, share).chance.tolist() == [False, True]


@pytest.mark.parametrize("clustered", [False, True])
def test_numbers_of_groups_are_those_of_their_samples_without_each_member(clustered):
    logits, target = random_ensemble(members=4, samples=30, classes=3)
    numbers = np.arange(30) % 3
    clusters = torch.arange(30) // 4 if clustered else None
    analysis = analysed(logits, target, clusters=clusters)
    found = systematic_or_chance(analysis, {"site": Groups(("a", "b", "c"), numbers)})
    group = next(g for g in found.groups if (g.column, g.name) == ("site", "b"))
    here = np.flatnonzero(numbers == 1)
    assert group.samples == 10

    def values(members):
        rows = [statistics(logits[members, i].tolist(), int(target[i])) for i in here]
        of = ("error_rate", "correct", "risk", "bias_sq_unbiased", "variance_unbiased")
        table = np.array([[float(row[n]) for n in (*of, "systematic", "chance")] for row in rows]).T
        table[1] = 1 - table[1]
        return table

    every, without = values(range(4)), [values([m for m in range(4) if m != n]) for n in range(4)]
    for row, name in enumerate(NAMES):
        estimate = group.numbers[name]
        assert estimate.value == pytest.approx(every[row].mean(), abs=1e-12)
        centred = every[row] - every[row].mean()
        if clustered:
            centred = np.bincount(here // 4, centred)[np.unique(here // 4)]
        expected = (centred**2).sum() / 100 * len(centred) / (len(centred) - 1)
        assert estimate.variances.samples == pytest.approx(expected, rel=1e-9, abs=1e-18)
        assert estimate.variances.units == len(centred)
        t = np.array([table[row] for table in without])  # (members, samples)
        assert estimate.variances.members == pytest.approx(3 * t.mean(axis=1).var(), rel=1e-4)
        both = 3 * t.var(axis=0).sum() / 100
        assert estimate.variances.both == pytest.approx(both, rel=1e-4, abs=1e-12)
    share = group.numbers["variance_share"]
    assert share.value == pytest.approx(every[4].sum() / every[2].sum())
    assert share.interval[0] <= share.value <= share.interval[1]


def test_a_share_of_few_errors_is_as_uncertain_as_they_are_few():
    """Two of 400 samples are wrong, both systematic: a share of two of two says little."""
    votes = torch.zeros(10, 400, dtype=torch.long)
    votes[:, :2] = 1
    share = systematic_or_chance(of_votes(votes, torch.zeros(400, dtype=torch.long))).numbers
    low, high = share["systematic_share"].quoted_interval
    assert high == 1
    assert low < 0.4


@pytest.mark.parametrize("members", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["right", "wrong", "mixed", "one sample"])
def test_any_ensemble_is_answered_in_words(members, kind):
    logits, target = random_ensemble(members=members, samples=40, classes=3)
    if kind in ("right", "wrong"):
        at = target if kind == "right" else (target + 1) % 3
        logits = logits + 50 * torch.nn.functional.one_hot(at, 3)
    if kind == "one sample":
        logits, target = logits[:, :1], target[:1]
    found = systematic_or_chance(analysed(logits, target), {}, ("cat", "dog", "eel"))
    card = found.card()
    assert card.answer.endswith(".")
    assert "nan" not in card.answer + card.baseline
    if members == 1:
        assert card.number.reason == "one member does not show what others would get wrong"
        assert found.systematic == ()
    elif kind == "right":
        assert "all 40 samples right: there are no errors" in card.answer
        assert card.number.reason == "the ensemble makes no errors on these samples"
    elif kind == "wrong":
        assert card.number.value == 1
        assert "few members" in card.answer or members == 5
    for _, number in estimates(found.numbers):
        if number.value is not None and number.quoted_interval:
            low, high = number.quoted_interval
            assert low <= number.value <= high
    json.dumps(found.files())
    assert (found.checked is None) == (members < 4)


def test_soft_labels_options_and_an_absent_class_are_answered():
    logits, _ = random_ensemble(members=4, samples=40, classes=4)
    soft = torch.softmax(2 * logits.mean(dim=0).roll(1, 0), dim=-1).double()
    found = systematic_or_chance(analysed(logits, soft.argmax(-1), soft=soft))
    assert found.numbers["bias_sq"].value is not None
    options = torch.full((40,), 4)
    options[:10] = 2
    logits[:, :10, 2:] = -torch.inf
    found = systematic_or_chance(analysed(logits, torch.arange(40) % 2, num_options=options))
    assert [group.name for group in found.groups] == ["0", "1"]


def test_the_chart_names_groups_and_says_which_stand_out():
    rng = torch.Generator().manual_seed(0)
    target = torch.zeros(600, dtype=torch.long)
    wrong = torch.rand(600, generator=rng) < torch.where(torch.arange(600) < 100, 0.6, 0.1)
    votes = wrong.long().expand(6, -1)
    groups = {"site": Groups(("bad", "good"), (np.arange(600) >= 100).astype(np.int64))}
    found = systematic_or_chance(of_votes(votes, target), groups)
    bad = next(group for group in found.groups if group.name == "bad")
    assert bad.stands_out
    assert bad.adjusted < 1e-6
    card = found.card()
    share = f"{wrong.double().mean():.1%}"
    assert (
        f"A member is wrong on {share} of all; site bad: " in card.answer
    )  # the worse group comes first
    assert "; site good: " in card.answer
    assert {*card.chart.ticks} == {"all samples", "bad", "good"}
    assert card.chart.curves[-1].name == "stands out"
    for curve in card.chart.curves:
        assert all(a <= x <= b for a, x, b in zip(curve.low, curve.x, curve.high, strict=True))
    assert not math.isnan(found.summary()["groups"][0]["p_value"])


def test_members_that_were_held_back_check_what_half_of_them_name():
    """Votes of four members, label 0; the halves are members 0 and 2, and 1 and 3."""
    rows = [[1, 1, 1, 1], [1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    checked = systematic_or_chance(
        of_votes(torch.tensor(rows).T, torch.zeros(4, dtype=torch.long))
    ).checked
    # named by a half: sample 0 twice (others wrong: 1, 1), sample 1 once (0)
    assert checked.precision["systematic"].value == pytest.approx(2 / 3)
    # single errors: sample 0 with 1 + 1, sample 1 with 1, sample 2 with 1/2
    assert checked.precision["member"].value == pytest.approx(2 / 3.5)
    assert checked.named["systematic"] == pytest.approx(3 / 8)
