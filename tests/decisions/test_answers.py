"""Repeated answers: enumeration of subsets, the split of the noise, intervals, and bad input."""

import itertools
import math

import numpy as np
import pytest
import torch

import bvalign
from bvalign.analysis.decompositions import vote_counts
from bvalign.analysis.intervals import Spread, estimate
from bvalign.decisions import repeated_answers
from bvalign.decisions.answers.counts import majority_of_k, pass_at_k, patterns_of
from bvalign.decisions.answers.noise import Noise
from tests.analysed import analysed


def answers(seed=0, *, members=6, samples=50, options=4, shared=0.0):
    """Votes for options, the right one more likely for some questions and members."""
    rng = np.random.default_rng(seed)
    target = rng.integers(options, size=samples)
    skill = rng.normal(size=samples) + shared * rng.normal(size=(members, 1))
    scores = rng.gumbel(size=(members, samples, options))
    scores[:, np.arange(samples), target] += skill
    return torch.from_numpy(scores.argmax(axis=-1)), torch.from_numpy(target)


def logits_of(votes, options=4):
    one_hot = torch.nn.functional.one_hot(votes, options)
    return torch.where(one_hot == 1, 0.0, -torch.inf)


def found(votes, target, **given):
    return repeated_answers(analysed(logits_of(votes), target, **given))


def wins(drawn, label):
    """Vote of some answers for the label, shared by options that tie."""
    counts = np.bincount(drawn)
    first = np.flatnonzero(counts == counts.max())
    return (label in first) / len(first)


@pytest.mark.parametrize("k", range(1, 7))
def test_curves_are_means_over_all_subsets(k):
    votes, target = answers(samples=30)
    patterns = patterns_of(vote_counts(votes, 4).unsqueeze(0), target)
    subsets = list(itertools.combinations(range(6), k))
    for of, expected in {
        pass_at_k: lambda drawn, label: label in drawn,
        majority_of_k: wins,
    }.items():
        by_hand = [
            np.mean([expected(votes[list(s), i].numpy(), int(target[i])) for s in subsets])
            for i in range(30)
        ]
        np.testing.assert_allclose(of(patterns, k)[patterns.place[0]], by_hand, atol=1e-12)


def test_intervals_are_those_of_a_jackknife_over_members():
    votes, target = answers(shared=0.5)

    def values(some):
        patterns = patterns_of(vote_counts(some, 4).unsqueeze(0), target)
        return majority_of_k(patterns, 3)[patterns.place[0]]

    whole = values(votes)
    left = np.stack([values(votes[[m for m in range(6) if m != out]]) for out in range(6)])
    deviations = left - left.mean(axis=0)
    spread = Spread(
        samples=whole.var(ddof=1) / 50,
        units=50,
        members=5 * left.mean(axis=1).var(),
        both=5 / 6 * (deviations**2).sum() / 50**2,
        groups=6,
    )
    expected = estimate(whole.mean(), spread, "proportion")
    decision = found(votes, target)
    assert decision.majority_of[3].interval == pytest.approx(expected.interval)
    assert decision.pass_at[1].interval == pytest.approx(decision.accuracy.interval)
    last = decision.pass_at[6]
    assert last.interval is None
    assert last.reason == "over questions alone: it takes every answer"
    assert list(decision.card().chart.curves[0].x) == [1, 2, 3, 4]


def test_noise_adds_up_to_the_variance_of_the_interval():
    votes, target = answers(samples=400, shared=1.0)
    decision = found(votes, target)
    right = (votes == target).double()
    within = float((right.var(dim=0)).mean()) / 400 / 6
    noise = decision.noise
    assert noise.answers == pytest.approx(within)
    assert noise.data == pytest.approx(float(right.mean(dim=0).var()) / 400 - within)
    assert noise.shared == pytest.approx(float(right.mean(dim=1).var()) / 6 - within)
    low, high = decision.accuracy.interval  # wider, by Student's distribution
    assert 1 < (high - low) / 2 / noise.error_bar() < 1.3
    assert decision.naive == pytest.approx(
        1.96 * math.sqrt(float(right.mean() * (1 - right.mean())) / 2400)
    )


def test_noise_is_recovered():
    """Questions that are easy or even, members with a skill of their own."""
    rng = np.random.default_rng(0)
    members, samples = 12, 1500
    skill = rng.uniform(0, 0.2, size=(members, 1))
    chance = rng.choice([0.5, 1.0], size=samples) - skill
    votes = torch.from_numpy((rng.random((members, samples)) > chance).astype(int))
    data, drawn, shared = found(votes, torch.zeros(samples).long()).noise[:3]
    assert data == pytest.approx(0.25**2 / samples, rel=0.15)
    within = (chance * (1 - chance)).mean() + skill.var()
    assert drawn == pytest.approx(within / samples / members, rel=0.1)
    assert shared == pytest.approx(skill.var(ddof=1) / members, rel=0.2)


def test_enough_answers_are_the_first_whose_error_bar_is_near():
    noise = Noise(data=4e-5, answers=3e-5, shared=1e-5, questions=500, repeats=8)
    bars = [noise.error_bar(repeats=m / 8) for m in range(1, 200)]
    limit = 1.05 * noise.error_bar(repeats=math.inf)
    assert noise.enough == 1 + next(m for m, bar in enumerate(bars) if bar <= limit)
    assert noise.answer_share == pytest.approx(0.5)
    assert noise.error_bar(questions=2.0) ** 2 == pytest.approx(1.96**2 * 4.5e-5)
    assert Noise(1e-5, 0.0, 0.0, 500, 8).enough == 1
    assert Noise(0.0, 1e-5, 0.0, 500, 8).enough is None


def test_incoherence_is_the_share_of_variance():
    votes = torch.tensor([[0, 1, 2, 0], [0, 1, 1, 1], [0, 1, 2, 2]])
    decision = found(votes, torch.zeros(4).long())
    assert decision.incoherence.value == pytest.approx((2 / 3 + 1) / (2 + 2 + 4 / 3))
    means = analysed(logits_of(votes), torch.zeros(4).long()).means
    assert decision.incoherence.value == pytest.approx(
        means["variance_unbiased"].value / means["risk"].value
    )


def test_clusters_lengthen_the_error_bar():
    votes, target = answers(samples=40)
    votes, target = votes.repeat_interleave(5, dim=1), target.repeat_interleave(5)
    alone, together = (
        found(votes, target, clusters=c) for c in (None, torch.arange(40).repeat_interleave(5))
    )
    assert together.noise.error_bar() > 1.5 * alone.noise.error_bar()


@pytest.mark.parametrize("right", [True, False])
def test_all_right_and_all_wrong(right):
    target = torch.zeros(20).long()
    decision = found(torch.full((4, 20), 0 if right else 1), target)
    assert decision.accuracy.value == decision.pass_at[4].value == float(right)
    low, high = decision.accuracy.interval
    assert (low < 0.95, high) == (True, 1.0) if right else (low, high > 0.05) == (0.0, True)
    assert decision.noise.total == 0
    assert decision.incoherence.value == (None if right else 0)
    assert "nan" not in f"{decision} {decision.card().baseline}"


@pytest.mark.parametrize("members", [1, 2])
def test_few_answers_say_what_is_known(members):
    votes, target = answers(members=members)
    decision = found(votes, target)
    assert decision.accuracy.interval is None
    assert (decision.incoherence is None) == (members == 1)
    assert (decision.card().chart is None) == (members == 1)
    assert ("does not show how much answers differ" in str(decision)) == (members == 1)
    assert decision.noise.shared is None


def test_soft_labels_have_no_right_answer():
    votes, target = answers()
    soft = 0.1 + 0.6 * torch.nn.functional.one_hot(target, 4).double()
    decision = found(votes, target, soft=soft)
    assert decision.card().answer.startswith("No answer: labels are soft")
    assert decision.card().number.value is None


def test_questions_with_fewer_options():
    votes, target = answers()
    few = (votes < 3) & (target < 3)
    rows = few.all(dim=0)
    logits = logits_of(votes[:, rows]).masked_fill(logits_of(votes[:, rows]) == 0, 1.0)
    options = torch.full((int(rows.sum()),), 3)
    decision = repeated_answers(analysed(logits, target[rows], num_options=options))
    right = votes[:, rows] == target[rows]
    assert decision.accuracy.value == pytest.approx(float(right.double().mean()))


def test_the_card_is_that_of_votes():
    votes, target = answers()
    given = {"labels": target.numpy()}
    decisions = bvalign.analyze({"votes": votes.numpy(), **given}).decisions
    assert "is right to" in str(decisions["answers"])
    probs = torch.nn.functional.one_hot(votes, 4) * 0.6 + 0.1
    assert "answers" not in bvalign.analyze({"probs": probs.numpy(), **given}).decisions
