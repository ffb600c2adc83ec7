"""The difference of two ensembles: its parts against their definitions, and its coverage."""

import math

import numpy as np
import pytest
import torch

from bvalign.analysis.groups import left_out_variance
from bvalign.analysis.intervals import (
    Estimate,
    Spread,
    estimate,
    members_part,
    paired,
    samples_variance,
)

GROUPS = 16
NONE = (None, None)


def mean_of(values, clusters=None):
    """Mean of values (members, samples) with two-way intervals, as the analysis forms it."""
    number, column = len(values), values.mean(dim=0)
    left = (values.sum(dim=0) - values) / (number - 1)
    both = float(left_out_variance(left).mean()) / len(column)
    spread = Spread(
        *samples_variance(column, clusters),
        float(left_out_variance(left.mean(dim=1))),
        both,
        number,
    )
    return estimate(float(column.mean()), spread), column


def difference(a, b, clusters=None):
    numbers, columns = zip(mean_of(a, clusters), mean_of(b, clusters), strict=True)
    parts = tuple(members_part(n, len(v)) for n, v in zip(numbers, (a, b), strict=True))
    return paired(numbers, columns[0] - columns[1], parts, clusters=clusters)


def test_without_spread_of_the_other_it_is_the_interval_of_the_one():
    values = torch.randn(6, 40).double() + torch.randn(6, 1).double()
    number, column = mean_of(values)
    fixed = Estimate(0.5, (0.5, 0.5), (0.5, 0.5), (0.5, 0.5), standard_error_members=0.0)
    found = paired((number, fixed), column, (members_part(number, 6), members_part(fixed, 9)))
    for ends, own in (
        (found.interval, number.interval),
        (found.interval_samples, number.interval_samples),
    ):
        assert ends == pytest.approx([end - 0.5 for end in own], rel=1e-12)
    swapped = paired((fixed, number), -column, (members_part(fixed, 9), members_part(number, 6)))
    assert swapped.interval == pytest.approx([-end for end in reversed(found.interval)])


def test_parts_are_read_back_from_intervals_of_means_and_of_proportions():
    spread = Spread(4e-4, 500, 9e-4, 2e-4, 7)
    for proportion in (False, True):
        for value in (0.3, 0.97):
            part = members_part(
                estimate(value, spread, proportion=proportion), 7, proportion=proportion
            )
            assert part.added == pytest.approx(7e-4, rel=1e-12)
            assert part.alone == pytest.approx(9e-4, rel=1e-9)
            assert part.stretch == pytest.approx((0, 0), abs=1e-12)
    for value in (0.0, 1.0):  # no interval of a proportion says V_m there
        part = members_part(estimate(value, spread, proportion=True), 7, proportion=True)
        assert part.alone == part.added == pytest.approx(7e-4, rel=1e-12)
    assert members_part(estimate(0.3, Spread(4e-4, 500)), 2) is None
    assert members_part(Estimate(None, reason="few"), 2) is None


def test_a_stretched_interval_stretches_the_difference():
    plain = estimate(1.0, Spread(1e-4, 300, 3e-4, 1e-4, 8))
    wide = plain._replace(
        interval=(plain.interval[0] - 0.2, plain.interval[1]),
        interval_members=(plain.interval_members[0] - 0.2, plain.interval_members[1]),
    )
    parts = [members_part(number, 8) for number in (plain, wide)]
    assert parts[1].alone == pytest.approx(parts[0].alone)
    assert parts[1].stretch == pytest.approx((-0.2, 0))
    influence = torch.linspace(-1, 1, 300).double()
    low, high = paired((plain, plain), influence, (parts[0],) * 2).interval
    for numbers, members, expected in (
        ((wide, plain), (parts[1], parts[0]), (low - 0.2, high)),
        ((plain, wide), (parts[0], parts[1]), (low, high + 0.2)),
    ):
        assert paired(numbers, influence, members).interval == pytest.approx(expected)


def test_as_many_more_as_are_needed_bring_the_interval_to_zero():
    a, b = (estimate(v, Spread(2e-4, 400, 9e-5, 2e-5, 10)) for v in (0.52, 0.5))
    influence = torch.randn(400, generator=torch.Generator().manual_seed(0)).double() * 0.3
    found = paired((a, b), influence, tuple(members_part(n, 10) for n in (a, b)))
    assert not found.apart
    needed = found.needed(GROUPS)
    for samples, members in (
        (needed.samples, 1.0),
        (1.0, needed.members),
        (needed.both, needed.both),
    ):
        if samples is None or members is None:
            continue
        grown = found.grown(samples=samples, members=members, most_groups=GROUPS)
        assert grown.interval[0] == pytest.approx(0, abs=1e-9)
        assert grown.apart
    assert needed.samples is None  # t sqrt(2 * 7e-5) > 0.02, however many samples
    assert needed.both is not None


def test_the_number_of_samples_by_hand():
    """With these members alone: |d| = t sqrt(V_s / c)."""
    influence = torch.randn(2000, generator=torch.Generator().manual_seed(0)).double()
    numbers = Estimate(0.51), Estimate(0.5)
    needed = paired(numbers, influence, NONE).needed(GROUPS)
    variance = float(influence.var()) / 2000
    assert needed.samples == pytest.approx(1.95996**2 * variance / 0.01**2, rel=1e-3)
    assert needed.members is needed.both is None


def test_no_number_would_do():
    influence = torch.tensor([1.0, -1.0, 0.5, -0.5]).double()
    same = estimate(0.5, Spread(1e-3, 4, 1e-3, 0.0, 5))
    parts = (members_part(same, 5),) * 2
    assert paired((same, same), influence, parts).needed(GROUPS) == (None, None, None)
    apart = same._replace(value=0.9)
    assert paired((apart, same), influence / 100, parts).needed(GROUPS)[0] == 1


def test_a_difference_of_proportions_is_never_certain():
    a, b = Estimate(0.98), Estimate(0.98)
    nothing = paired((a, b), torch.zeros(50).double(), NONE, proportion=True)
    assert nothing.interval_samples[1] == pytest.approx(2.0096 * math.sqrt(2) / 50, rel=1e-4)
    all_of_them = paired(
        (Estimate(1.0), Estimate(0.0)), torch.ones(50).double(), NONE, proportion=True
    )
    assert all_of_them.interval_samples[1] == 1


@pytest.mark.parametrize(
    ("members", "of_member", "of_cluster"),
    [((8, 8), 0.02, 0.0), ((5, 12), 0.15, 0.0), ((4, 4), 0.4, 0.0), ((6, 6), 0.05, 1.0)],
)
def test_coverage_on_two_way_data(members, of_member, of_cluster):
    """Values = sample (mostly shared by A and B) + member + rest; the true difference is zero."""
    rng, draws, num = np.random.default_rng(0), 400, 100
    clusters = torch.arange(num) // 4 if of_cluster else None
    misses = np.zeros(2)
    for _ in range(draws):
        shared = 2 * rng.standard_normal(num)
        values = []
        for number in members:
            own = 0.3 * rng.standard_normal(num)
            own = own + of_cluster * rng.standard_normal(num // 4).repeat(4)
            own = own + of_member * rng.standard_normal((number, 1))
            values.append(torch.from_numpy(shared + own + rng.standard_normal((number, num))))
        low, high = difference(*values, clusters).interval
        misses += (low > 0, high < 0)
    # binomial with 400 draws at 0.025 a side: at most 19 in 99.8 of 100 tests
    assert misses.max() <= 19, misses
    assert 5 <= misses.sum() <= 33, misses  # 0.9175 to 0.9875


def test_coverage_of_a_difference_of_proportions_where_few_samples_differ():
    rng, draws, num = np.random.default_rng(0), 400, 200
    misses = np.zeros(2)
    for _ in range(draws):
        kind = rng.choice([-1.0, 0.0, 1.0], p=[0.005, 0.98, 0.015], size=num)
        numbers = Estimate(float(kind.mean())), Estimate(0.0)
        found = paired(numbers, torch.from_numpy(kind), NONE, proportion=True)
        misses += (found.interval_samples[0] > 0.01, found.interval_samples[1] < 0.01)
    assert misses.sum() <= 33, misses
