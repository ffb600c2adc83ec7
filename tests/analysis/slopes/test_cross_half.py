"""The check of three parts: its definition in loops, ties, and values of the parts."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions import softmax
from bvalign.analysis.groups import member_groups, member_sums, residuals
from bvalign.analysis.slopes.alignment import check
from bvalign.analysis.slopes.cross_half import cross_half
from bvalign.analysis.slopes.smaller import Parts, parts
from tests import reference
from tests.ensembles import aligned_ensemble, random_ensemble


def expected(bias_sq, variance, correct):
    """Slope and intercept of the binned lines, in loops; equal values stay in their order."""
    lines = []
    for split in range(len(bias_sq)):
        for sort, measure, judge in permutations(range(3)):
            kept = [n for n in range(bias_sq.shape[-1]) if correct[split, judge, n]]
            kept = sorted(kept, key=lambda n: bias_sq[split, sort, n])
            number = min(30, len(kept) // 10)
            if number < 3:
                continue
            x, y = [], []
            for part in np.array_split(np.array(kept), number):
                b, v = bias_sq[split, measure, part].mean(), variance[split, measure, part].mean()
                if b > 0 and v > 0:
                    x.append(math.log(b))
                    y.append(math.log(v))
            lines.append(reference.line(x, y)[:2])
    return np.mean(lines, axis=0)


def values_of(logits, target):
    groups, given = member_groups(len(logits)), residuals(softmax(logits), target)
    return groups, parts(member_sums(given, groups), given, groups)


@pytest.mark.parametrize("members", [6, 9, 20])
def test_values_of_the_parts_are_those_of_their_members(members):
    logits, target = random_ensemble(members=members, samples=9, classes=4, scale=3.0)
    groups, found = values_of(logits, target)
    assert found.bias_sq.shape == (4, 3, 9)
    for split in range(4):
        for place in range(3):
            union = torch.nonzero(groups.thirds[split, place]).flatten().tolist()
            who = [m for group in union for m in groups.members[group]]
            alone = reference.bias_variance(logits[who].numpy(), target.numpy())
            for name in ("bias_sq", "variance"):
                np.testing.assert_allclose(
                    getattr(found, name)[split, place].numpy(),
                    alone[f"{name}_unbiased"],
                    rtol=1e-9,
                    atol=1e-15,
                )
            right = softmax(logits[who]).mean(dim=0).argmax(dim=-1) == target
            assert torch.equal(found.correct[split, place], right)


@pytest.mark.parametrize("samples", [40, 500])
def test_the_line_is_its_definition(samples):
    logits, target = aligned_ensemble(members=9, samples=samples, sigma=3.0)
    _, found = values_of(logits, target)
    slope, intercept = cross_half(*found)
    assert (slope, intercept) == pytest.approx(
        expected(*(value.numpy() for value in found)), rel=1e-9
    )


def test_equal_values_stay_in_their_order():
    """Values that tie, as those of votes do: another order of equals is another line."""
    rng = np.random.default_rng(0)
    bias_sq = torch.from_numpy(rng.integers(1, 4, size=(4, 3, 200)) / 9)
    variance = torch.from_numpy(rng.uniform(0.1, 1, size=(4, 3, 200)))
    correct = torch.from_numpy(rng.random((4, 3, 200)) < 0.8)
    found = cross_half(bias_sq, variance, correct)
    assert found == pytest.approx(expected(bias_sq.numpy(), variance.numpy(), correct), rel=1e-9)
    flipped = cross_half(bias_sq.flip(-1), variance.flip(-1), correct.flip(-1))
    assert flipped != pytest.approx(found, rel=1e-3)


def test_a_slope_below_one_is_found_where_shared_errors_pull_to_one():
    """Noise that grows with the margin; the truth by a fine sum over normal scores."""
    rng = np.random.default_rng(3)
    margin = rng.uniform(4, 14, size=2000)
    scale = 0.25 + 0.05 * margin
    logits = scale[:, None] * rng.standard_normal((12, 2000, 2))
    logits[:, :, 0] += margin
    grid = np.linspace(-8, 8, 2001)
    density = np.exp(-(grid**2) / 2) / np.exp(-(grid**2) / 2).sum()
    a = 1 / (1 + np.exp(margin[:, None] + np.sqrt(2) * scale[:, None] * grid))
    mean = a @ density
    truth = reference.line(np.log(mean**2), np.log(a**2 @ density - mean**2))[0]
    assert truth < 0.93
    _, found = values_of(torch.from_numpy(logits), torch.zeros(2000, dtype=torch.int64))
    assert cross_half(*found)[0] == pytest.approx(truth, abs=0.03)


def test_few_members_and_few_correct_samples_have_a_reason():
    few = check(
        Parts(*(torch.zeros(0, 3, 50, dtype=d) for d in (torch.float64,) * 2 + (torch.bool,))), 5
    )
    assert few["slope"].reason == "needs six members, three parts of two; there are 5"
    logits, target = aligned_ensemble(members=6, samples=29)
    found = check(values_of(logits, target)[1], 6)
    assert found["slope"].value is None
    assert "30 correct samples" in found["intercept"].reason


def test_the_check_has_no_interval_and_says_so():
    found = check(values_of(*aligned_ensemble(members=6, samples=90))[1], 6)
    for number in found.values():
        assert number.quoted_interval is None
        assert "not a number to quote" in number.reason
    assert found["slope"].value == pytest.approx(1, abs=0.2)
