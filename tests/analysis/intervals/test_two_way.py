"""Intervals: textbook formulas, clusters by brute force, and values that lie inside."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from bvalign.analysis.decompositions import Kind
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance, stored
from bvalign.analysis.intervals.two_way import stretched

MANY = 10**8
"""Units with which the t distribution is the normal one."""


def test_the_variance_of_a_mean_is_the_textbook_one():
    values = torch.tensor([1.0, 4.0, 6.0, 2.5]).double()
    found, units = samples_variance(values)
    assert units == 4
    assert found == pytest.approx(np.var(values.numpy(), ddof=1) / 4, rel=1e-14)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(1, 6), st.integers(0, 2**32))
def test_clusters_count_as_one_unit(samples, names, seed):
    """The variance of a mean over clusters: of the sums of residuals, which add up to zero."""
    rng = np.random.default_rng(seed)
    values, clusters = rng.normal(size=samples), 5 * rng.integers(names, size=samples)
    centred = values - sum(values) / samples
    totals = {}
    for name, value in zip(clusters.tolist(), centred, strict=True):
        totals[name] = totals.get(name, 0.0) + value
    found, units = samples_variance(torch.from_numpy(values), torch.from_numpy(clusters))
    assert units == len(totals)
    if units == 1:
        assert math.isnan(found)
        return
    expected = units / (units - 1) * sum(t * t for t in totals.values()) / samples**2
    assert found == pytest.approx(expected, rel=1e-11, abs=1e-30)


def test_clusters_of_one_sample_change_nothing_and_repeated_samples_do():
    values = torch.from_numpy(np.random.default_rng(0).normal(size=20))
    alone = samples_variance(values)
    assert samples_variance(values, torch.arange(20).flip(0)) == pytest.approx(alone)
    twice = samples_variance(values.repeat(2), torch.arange(20).repeat(2))
    assert twice == pytest.approx(alone)
    assert samples_variance(values.repeat(2))[0] < 0.6 * alone[0]


@pytest.mark.parametrize(
    ("hits", "number", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)],
)
def test_a_proportion_has_the_published_wilson_interval(hits, number, low, high):
    """Newcombe 1998, table I, method 3."""
    p = hits / number
    found = estimate(p, Spread(p * (1 - p) / number, MANY), "proportion")
    assert found.interval_samples == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("p", "number"), [(0.3, 50), (0.98, 50), (0.0, 20), (1.0, 20)])
def test_a_proportion_solves_the_equation_of_wilson(p, number):
    """Its ends are the q at which p lies t standard errors sqrt(q (1 - q) / n) away."""
    found = estimate(p, Spread(p * (1 - p) / number, number), "proportion")
    quantile = stats.t.ppf(0.975, number - 1)
    for end in found.interval_samples:
        error = quantile * math.sqrt(end * (1 - end) / number)
        assert error == pytest.approx(abs(p - end), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_members_that_differ_do_not_widen_a_proportion_of_zero_or_one_to_everything(value):
    """All of 10,000 samples right, and two or fifty wrong without one of sixteen groups."""
    for wrong in (2, 50):
        members = (wrong / 10_000) ** 2 * (15 / 16) ** 2
        spread = Spread(0.0, 10_000, members, members / wrong, 16)
        found = estimate(value, spread, "proportion")
        for ends in (found.interval, found.interval_samples, found.interval_members):
            low, high = ends
            assert low <= value <= high
            assert high - low < 6 * max(wrong, 2) / 10_000
        assert found.interval_samples[1] - found.interval_samples[0] < 4e-4


def test_a_proportion_that_rounding_puts_outside_is_inside_its_interval():
    for value in (1 + 2**-52, -(2**-60)):
        found = estimate(value, Spread(1e-5, 100, 1e-5, 0.0, 8), "proportion")
        for low, high in (found.interval, found.interval_samples, found.interval_members):
            assert low <= value <= high
            assert high - low < 0.2


def test_the_mean_of_differences_of_proportions_is_as_uncertain_as_their_size():
    nothing = estimate(0.0, Spread(0.0, 100, 0.0, 0.0, 8), "difference", magnitude=0.0)
    above = estimate(0.0, Spread(0.0, 100, 0.0, 0.0, 8), "proportion")
    for (low, high), (_, end) in zip(nothing[1:4], above[1:4], strict=True):
        assert (low, high) == (-end, end)
        assert end > 0.03
    much = estimate(0.2, Spread(0.05**2, MANY), "difference", magnitude=0.4)
    assert much.interval_samples == pytest.approx((0.2 - 0.1, 0.2 + 0.1), abs=0.01)


KINDS = get_args(Kind)
FRACTIONS = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 5e-324, 1e-12, 1 - 1e-12])
VARIANCES = st.floats(0, 1) | st.sampled_from([0.0, 1e-300, 1e-30, 1e-12])


@settings(max_examples=150, deadline=None)
@given(FRACTIONS, VARIANCES, VARIANCES, VARIANCES, st.integers(2, 10**6), st.integers(3, 16))
@example(1.0, 0.0, 1e-8, 0.0, 100, 3)
def test_a_value_lies_in_all_its_intervals(value, samples, members, both, units, groups):
    for kind in KINDS:
        spread = Spread(samples, units, members, both, groups)
        found = estimate(value, spread, kind, magnitude=value)
        assert found.value == value
        for low, high in (found.interval, found.interval_samples, found.interval_members):
            assert low <= value <= high
            if kind == "proportion":
                assert 0 <= low <= high <= 1
            if kind == "difference":
                assert -1 <= low <= high <= 1
            if kind == "positive":
                assert low >= 0
        longer = stretched(found, -0.1, 0.0)
        assert longer.interval_samples == found.interval_samples
        assert longer.interval[0] <= found.interval[0] <= longer.interval[1] == found.interval[1]


def test_without_spread_an_interval_is_a_point_but_that_of_a_proportion():
    spread = Spread(0.0, 9, 0.0, 0.0, 4)
    assert estimate(0.25, spread).interval == (0.25, 0.25)
    low, high = estimate(0.25, spread, "proportion").interval
    assert low < 0.25 < high


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_unit_and_an_undefined_value_have_a_reason_and_no_interval(kind):
    one = estimate(0.5, Spread(math.nan, 1, 0.1, 0.0, 4), kind)
    assert one == Estimate(0.5, reason="one independent sample has no variance: no interval")
    for value in (math.nan, math.inf):
        found = estimate(value, Spread(0.1, 9, 0.1, 0.0, 4), kind)
        assert found.value is None
        assert found.quoted_interval is None
        assert found.reason == "undefined"


def test_the_part_that_both_count_is_not_counted_twice():
    whole = estimate(0.0, Spread(1.0, MANY, 1.0, 1.0, 16))
    assert whole.interval == whole.interval_samples
    apart = estimate(0.0, Spread(1.0, MANY, 1.0, 0.0, 16))
    assert apart.interval[1] > 1.4 * whole.interval[1]


def test_an_estimate_says_what_its_interval_covers_and_is_read_back():
    full = Estimate(1.0, (0.0, 2.0), (0.5, 1.5), (0.25, 1.75))
    alone = full._replace(interval=None, interval_members=None, reason="few members")
    assert str(full) == "1 (0 to 2)"
    assert str(alone) == "1 (0.5 to 1.5, samples alone)"
    assert str(Estimate(0.5)) == "0.5"
    assert str(Estimate(None, reason="few samples")) == "none (few samples)"
    for found in (full, alone, Estimate(None, reason="few samples")):
        as_json = {k: list(v) if isinstance(v, tuple) else v for k, v in found._asdict().items()}
        assert stored(as_json) == found
    assert stored({"value": 1.0, "standard_error": 0.1}) == Estimate(1.0)
