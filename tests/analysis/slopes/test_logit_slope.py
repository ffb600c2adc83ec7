"""The population slope and offset: numbers of another implementation, truths, reasons, flags.

`values/logit_slope.json` holds what the NumPy implementation that the algorithm was developed with
gives on the ensembles below, made once and independent of this package.
"""

import json

import numpy as np
import pytest
import torch
from scipy import stats

from bvalign.analysis.decompositions import softmax
from bvalign.analysis.groups import (
    leave_one_out,
    member_groups,
    member_sums,
    residuals,
    set_values,
)
from bvalign.analysis.sizes import unions
from bvalign.analysis.slopes.drawn import drawn_block
from bvalign.analysis.slopes.flags import FLAGS
from bvalign.analysis.slopes.logit_block import logit_block
from bvalign.analysis.slopes.logit_fit import FirstPass, LogitFit
from bvalign.analysis.slopes.logit_slope import fit_logit_slope
from bvalign.analysis.slopes.noise_pooling import pool_noise
from bvalign.analysis.slopes.wrong_logits import Skewness, wrong_logit_skewness
from tests import VALUES
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble

STORED = json.loads((VALUES / "logit_slope.json").read_text())


def ensemble(noise, members, samples, classes, seed=0, margins=(4.0, 14.0)):
    """Logits with uniform margins and noise of a kind; each kind breaks another assumption."""
    rng = np.random.default_rng(seed)
    margin = rng.uniform(*margins, size=samples)
    values = rng.standard_normal((members, samples, classes))
    if noise == "gumbel":
        values = -np.log(-np.log(rng.random(values.shape))) * 0.6
    if noise == "growing":
        values *= (0.25 + 0.05 * margin)[:, None]
    target = rng.integers(classes, size=samples)
    values[:, np.arange(samples), target] += margin
    if noise == "temperature":
        values *= rng.uniform(0.7, 1.3, size=(members, 1, 1))
    return torch.from_numpy(values), torch.from_numpy(target)


def fitted(logits, target):
    """The fit before its correction, step by step in one range."""
    groups, given = member_groups(len(logits)), residuals(softmax(logits), target)
    drawn, by_group = drawn_block(given, groups, unions(groups)), member_sums(given, groups)
    noise = pool_noise(drawn.odds, groups, len(target))
    skewness = wrong_logit_skewness(logits, target)
    first = FirstPass(groups, torch.arange(len(target)), drawn.odds, noise, skewness)
    without = set_values(leave_one_out(by_group), given)
    block = logit_block(given, by_group, without, groups, noise)
    return LogitFit(block, first, block.log_bias_sq.isfinite(), None), block, first


def slope_of(logits, target, **options):
    return analysed(logits, target, **options).alignment.logit_slope


@pytest.mark.parametrize("case", STORED, ids=lambda case: case["noise"] + str(case["members"]))
def test_numbers_are_those_of_another_implementation(case):
    names = ("noise", "members", "samples", "classes", "seed", "margins")
    logits, target = ensemble(**{name: case[name] for name in names})
    assert float(logits.sum()) == pytest.approx(case["sum"], rel=1e-12), "other random numbers"
    found, (fit, *_) = slope_of(logits, target), fitted(logits, target)
    assert found.samples == case["correct"]
    assert list(found.flags) == case["flags"]
    for name, number, raw in (
        ("slope", found.slope, fit.slope().raw),
        ("offset", found.offset, fit.offset().raw),
    ):
        assert raw == pytest.approx(case[name]["raw"], rel=1e-8)
        assert number.value == pytest.approx(case[name]["value"], rel=1e-6)


def test_light_tailed_noise_has_slope_one_and_the_offset_of_a_log_normal():
    """For 1 - p_y = e^L with normal L of variance s², v/b is e^(s²) - 1: here, s² is 2."""
    logits, target = ensemble("normal", 16, 800, 2, margins=(8.0, 20.0))
    found = slope_of(logits, target)
    assert found.slope.value == pytest.approx(1, abs=0.03)
    truth = np.log(np.exp(2) - 1)
    assert found.offset.interval[0] < truth < found.offset.interval[1]
    assert found.offset.value == pytest.approx(truth, abs=0.1)
    assert found.quotable


def test_a_slope_below_one_and_its_offset_lie_in_their_intervals():
    """Noise that grows with the margin; truths of these samples by a fine sum over scores."""
    logits, target = ensemble("growing", 16, 600, 2)
    rng = np.random.default_rng(0)
    margin = rng.uniform(4.0, 14.0, size=600)
    grid = np.linspace(-8, 12, 2001)
    density = np.exp(-(grid**2) / 2) / np.exp(-(grid**2) / 2).sum()
    sd = np.sqrt(2) * (0.25 + 0.05 * margin)
    a = 1 / (1 + np.exp(margin[:, None] - sd[:, None] * grid))
    mean = a @ density
    x, y = np.log(2 * mean**2), np.log(2 * ((a - mean[:, None]) ** 2 @ density))
    truth = np.polyfit(x, y, 1)[0]
    assert truth < 0.93
    found = slope_of(logits, target)
    assert found.slope.interval_members[0] < truth < found.slope.interval_members[1]
    assert abs(found.slope.value - truth) < 0.03
    assert found.offset.interval_members[0] < (y - x).mean() < found.offset.interval_members[1]
    # of log v - log b over samples, without the errors of 16 members
    assert found.spread.interval[0] < np.std(y - x) < found.spread.interval[1]
    assert found.intercept == pytest.approx(y.mean() - truth * x.mean(), abs=0.3)


@pytest.mark.parametrize("members", [1, 2])
def test_one_and_two_members_have_a_reason(members):
    found = slope_of(*ensemble("normal", members, 60, 3))
    assert found.slope.reason == f"needs three members; there are {members}"
    assert found.offset.value is None
    assert (found.samples, found.intercept, found.quotable) == (0, None, False)
    assert found.slope_influence.tolist() == [0.0] * 60


@pytest.mark.parametrize("members", [3, 4, 5])
def test_three_members_have_a_slope(members):
    found = slope_of(*ensemble("normal", members, 200, 3))
    for number in (found.slope, found.offset, found.spread):
        low, high = number.interval
        assert low < number.value < high
    assert found.slope.value == pytest.approx(0.97, abs=0.1)


def test_fewer_than_thirty_correct_samples_have_a_reason():
    logits, target = ensemble("normal", 6, 29, 3)
    assert "there are 29" in slope_of(logits, target).slope.reason
    logits, target = ensemble("normal", 6, 300, 3)
    wrong = (target + 1) % 3
    found = slope_of(logits, wrong)
    assert "needs 30 correct samples" in found.slope.reason
    assert found.slope.reason.endswith("there are 0")


def test_votes_and_certain_members_have_a_reason_and_no_nan():
    logits, target = ensemble("normal", 6, 200, 3)
    votes = torch.full_like(logits, -torch.inf)
    votes.scatter_(-1, logits.argmax(dim=-1, keepdim=True), 0.0)
    found = slope_of(votes, target)
    assert found.slope.value is None
    assert "(200 others are saturated)" in found.slope.reason
    sharp = slope_of(logits * 100, target)
    assert "others are saturated" in sharp.slope.reason
    alike = slope_of(logits[:1].repeat(6, 1, 1), target)
    assert "(200 others are saturated)" in alike.slope.reason
    half = logits.clone()
    half[2, ::2] = votes[2, ::2]  # one certain member on every other sample
    found = slope_of(half, target)
    assert found.samples == 100
    assert "saturated" in found.flags
    assert np.isfinite([found.slope.value, found.offset.value]).all()


def test_samples_that_differ_less_than_the_errors_have_an_offset_alone():
    found = slope_of(*ensemble("normal", 4, 60, 2, seed=1, margins=(8.0, 8.0)))
    assert found.slope.value is None
    assert "differ less than the errors" in found.slope.reason
    assert found.offset.value is not None
    assert "alike_margins" in found.flags
    assert not found.quotable


def test_members_classes_and_samples_may_come_in_any_order():
    """To rounding, but for members: their groups are drawn by position, so M = 6 has the same."""
    logits, target = ensemble("growing", 6, 120, 4)
    plain = slope_of(logits, target)
    generator = torch.Generator().manual_seed(0)
    members, samples, classes = (torch.randperm(n, generator=generator) for n in logits.shape)
    moved = logits[members][:, samples][..., classes]
    found = slope_of(moved, classes.argsort()[target[samples]])
    for a, b in ((found.slope, plain.slope), (found.offset, plain.offset)):
        assert a.value == pytest.approx(b.value, rel=1e-7)
        assert a.interval == pytest.approx(b.interval, rel=1e-6)
        assert a.interval_samples == pytest.approx(b.interval_samples, rel=1e-6)
    torch.testing.assert_close(
        found.slope_influence, plain.slope_influence[samples], rtol=1e-6, atol=1e-8
    )


def test_a_shift_of_all_logits_changes_nothing():
    logits, target = ensemble("normal", 6, 120, 4)
    plain, found = slope_of(logits, target), slope_of(logits + 7.5, target)
    assert found.slope.value == pytest.approx(plain.slope.value, rel=1e-10)


@pytest.mark.parametrize("size", [1, 50, 300])
def test_the_cut_into_ranges_does_not_matter(size):
    logits, target = ensemble("gumbel", 6, 300 if size > 1 else 60, 3)
    whole, found = slope_of(logits, target, size=500), slope_of(logits, target, size=size)
    for a, b in ((found.slope, whole.slope), (found.offset, whole.offset)):
        assert a.value == pytest.approx(b.value, rel=1e-10)
        assert a.interval == pytest.approx(b.interval, rel=1e-9)
    assert found.flags == whole.flags


def test_the_influence_of_samples_is_their_part_of_the_variance():
    """Without a shape to estimate, all of it: the interval over samples follows from it."""
    logits, target = ensemble("normal", 4, 150, 3)
    found = slope_of(logits, target)
    for number, influence in (
        (found.slope, found.slope_influence),
        (found.offset, found.offset_influence),
    ):
        assert influence.shape == (150,)
        error = float(influence.std()) * 150**0.5 / found.samples
        expected = stats.t.interval(0.95, 149, number.value, error)
        assert number.interval_samples == pytest.approx(expected, rel=1e-9)


def test_repeated_samples_are_as_good_as_one_cluster_each():
    logits, target = ensemble("normal", 4, 100, 3)
    clusters = torch.arange(100).repeat(3)
    three = logits.repeat(1, 3, 1), target.repeat(3)
    once, found, alone = (
        slope_of(logits, target),
        slope_of(*three, clusters=clusters),
        slope_of(*three),
    )
    for name in ("slope", "offset"):
        widths = [
            ends[1] - ends[0]
            for ends in (getattr(f, name).interval_samples for f in (once, found, alone))
        ]
        assert widths[1] == pytest.approx(widths[0], rel=0.05)
        assert widths[2] < 0.65 * widths[0]


def test_heavy_tails_and_skewed_logits_are_flagged_and_normal_noise_is_not():
    rng = np.random.default_rng(0)
    heavy = rng.standard_t(3, size=(16, 400, 5)) * 0.6
    heavy[:, :, 0] += rng.uniform(4, 14, size=400)
    zeros = torch.zeros(400, dtype=torch.int64)
    assert {"tail_dependent", "heavy_tails"} & set(slope_of(torch.from_numpy(heavy), zeros).flags)
    light = rng.uniform(-1.5, 1.5, size=(16, 400, 5))
    light[:, :, 0] += rng.uniform(4, 14, size=400)
    assert slope_of(torch.from_numpy(light), zeros).flags == ("light_tails",)
    skewed = slope_of(*ensemble("gumbel", 8, 400, 5))
    assert "asymmetric_logits" in skewed.flags
    assert not skewed.quotable
    plain = slope_of(*ensemble("normal", 16, 400, 5))
    assert plain.flags == ()
    assert plain.quotable
    assert set(skewed.flags) <= FLAGS.keys()


def test_intervals_are_stretched_for_what_no_member_has_shown():
    """A heavy tail moves the interval, and the value stays inside it."""
    for noise in ("gumbel", "normal"):
        fit, block, first = fitted(*ensemble(noise, 8, 300, 3))
        for number in (fit.slope(), fit.offset()):
            plain, found = fit.estimate(number), fit.stretched(fit.estimate(number), number)
            assert found.interval[0] <= plain.interval[0] <= found.value
            assert found.value <= plain.interval[1] <= found.interval[1]
            assert found.interval_samples == plain.interval_samples
            pull = sum(number.shifts)
            assert found.interval[1] - plain.interval[1] == pytest.approx(max(pull, 0), abs=1e-12)
            assert plain.interval[0] - found.interval[0] == pytest.approx(max(-pull, 0), abs=1e-12)
        same = fit_logit_slope(block, first._replace(skewness=Skewness(0.0, 1.0)), 300)
        assert "asymmetric_logits" not in same.flags


def test_an_analysis_of_ten_thousand_aligned_numbers_is_quotable():
    found = slope_of(*aligned_ensemble(members=12, samples=400))
    assert found.quotable
    assert found.slope.interval[0] < 1 < found.slope.interval[1]
