"""The difference of two ensembles: its parts against their definitions, and its coverage."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from bvalign.analysis.groups import left_out_variance
from bvalign.analysis.intervals import (
    Estimate,
    Side,
    Spread,
    estimate,
    paired,
    samples_variance,
    stretched,
)

GROUPS = 16


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
    return Side(estimate(float(column.mean()), spread), column, clusters)


def flat(value, samples=50):
    """A number that neither samples nor members change."""
    spread = Spread(0.0, samples, 0.0, 0.0, 9)
    return Side(estimate(value, spread), torch.full((samples,), value).double())


def around(value, variance, *, samples=400, members=None, groups=10):
    """A number with a given variance over samples, and over members if there is one."""
    column = torch.randn(samples, generator=torch.Generator().manual_seed(0)).double()
    column = (column - column.mean()) / column.std() * math.sqrt(variance * samples) + value
    spread = Spread(variance, samples, *(members or (None,)), groups=groups)
    return Side(estimate(value, spread), column)


def test_without_spread_of_the_other_it_is_the_interval_of_the_one():
    for clusters in (None, torch.arange(50) // 5):
        side, fixed = mean_of(torch.randn(6, 50).double() + torch.randn(6, 1), clusters), flat(0.5)
        found, own = paired(side, fixed, clusters), side.number
        assert own.interval[1] - own.interval[0] > own.interval_samples[1] - own.interval_samples[0]
        assert found.interval == pytest.approx([end - 0.5 for end in own.interval])
        assert found.interval_samples == pytest.approx([end - 0.5 for end in own.interval_samples])
        swapped = paired(fixed, side, clusters)
        assert swapped.interval == pytest.approx([-end for end in reversed(found.interval)])


def test_variances_add_up_as_documented():
    """V and its degrees of freedom from the formula, of two sides that share no sample's value."""
    a, b = around(0.6, 4e-4, members=(9e-4, 2e-4), groups=7), flat(0.2, 400)
    b = b._replace(number=estimate(0.2, Spread(0.0, 400, 5e-4, 1e-4, 12)))
    found = paired(a, b)
    assert found.samples == pytest.approx(4e-4)
    assert [part.added for part in found.members] == pytest.approx([7e-4, 4e-4])
    total = 4e-4 + 7e-4 + 4e-4
    freedom = total**2 / (4e-4**2 / 399 + 7e-4 * 9e-4 / 6 + 4e-4 * 5e-4 / 11)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(total)
    assert found.interval == pytest.approx((0.4 - half, 0.4 + half))


def test_members_that_are_too_few_or_the_same_leave_the_samples_alone():
    many, few = around(0.6, 4e-4, members=(9e-4, 2e-4)), around(0.2, 1e-4)
    for found in (paired(many, few), paired(few, many), paired(many, many, same_members=True)):
        assert found.members is found.interval is None
        assert found.interval_samples is not None


def test_variance_over_samples_that_no_influence_shows_is_added():
    side = around(0.6, 4e-4)
    hidden = side._replace(influence=side.influence / 2)
    assert paired(hidden, flat(0.5, 400)).samples == pytest.approx(4e-4)
    assert paired(hidden, hidden).samples == pytest.approx(2 * 3e-4)


def test_a_stretched_interval_stretches_the_difference():
    plain, other = around(1.0, 1e-4, members=(3e-4, 1e-4), groups=8), flat(0.3, 400)
    low, high = paired(plain, other).interval
    for below, above in ((-0.2, 0.0), (0.0, 0.1), (-0.2, 0.1)):
        wide = plain._replace(number=stretched(plain.number, below, above))
        assert paired(wide, other).interval == pytest.approx((low + below, high + above))
        expected = (-high - above, -low - below)
        assert paired(other, wide).interval == pytest.approx(expected)
        both = paired(wide, wide).interval
        narrow = paired(plain, plain).interval
        assert both == pytest.approx((narrow[0] + below - above, narrow[1] + above - below))


def test_as_many_more_as_are_needed_bring_the_interval_to_zero():
    a = around(0.53, 3e-4, members=(9e-5, 2e-5))
    b = flat(0.5, 400)._replace(number=estimate(0.5, Spread(0.0, 400, 9e-5, 2e-5, 10)))
    found = paired(a, b)
    assert not found.apart
    needed = found.needed(GROUPS)
    assert needed.samples > 1
    assert needed.members is None  # t sqrt(3e-4 - 4e-5) > 0.03, however many members
    for samples, members in ((needed.samples, 1.0), (needed.both, needed.both)):
        grown = found.grown(samples=samples, members=members, most_groups=GROUPS)
        assert grown.interval[0] == pytest.approx(0, abs=1e-9)
        assert grown.apart
    fewer = paired(around(0.53, 1e-5, members=(3e-4, 0.0)), flat(0.5, 400)).needed(GROUPS)
    assert fewer.members > 1
    assert fewer.samples is None


def test_a_projection_is_what_so_many_samples_and_members_would_give():
    """Four times the samples: a quarter of V_s and V_b; three times the members: a third of V_m."""
    found = paired(around(0.53, 3e-4, members=(9e-5, 2e-5)), flat(0.5, 400))
    then = found.grown(samples=4.0, members=3.0, most_groups=GROUPS)
    samples = (3e-4 - 2e-5 + 2e-5 / 3) / 4
    spread = Spread(samples, 1600, (7e-5 + 2e-5 / 4) / 3, 2e-5 / 12, 16)
    expected = estimate(0.53, spread).interval
    assert then.interval == pytest.approx([end - 0.5 for end in expected])


def test_the_number_of_samples_by_hand():
    """With these members alone: |d| = t sqrt(V_s / c)."""
    needed = paired(around(0.51, 4e-4, samples=2000), flat(0.5, 2000)).needed(GROUPS)
    assert needed.samples == pytest.approx(1.95996**2 * 4e-4 / 0.01**2, rel=1e-3)
    assert needed.members is needed.both is None


def test_where_nothing_differs_no_number_would_do():
    side = around(0.5, 1e-4, members=(1e-4, 0.0))
    assert paired(side, side).needed(GROUPS) == (None, None, None)
    apart = around(0.9, 1e-4, members=(1e-4, 0.0))
    assert paired(apart, side).needed(GROUPS) == (1, 1, 1)


def test_a_difference_of_proportions_is_never_certain():
    ones, zeros = flat(1.0), flat(0.0)
    nothing = paired(ones, ones, proportion=True)
    assert nothing.samples == 2 / 50**2
    assert nothing.interval_samples[1] == pytest.approx(2.0096 * math.sqrt(2) / 50, rel=1e-4)
    assert paired(ones, zeros, proportion=True).interval_samples[1] == 1


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
        low, high = paired(*(mean_of(v, clusters) for v in values), clusters).interval
        misses += (low > 0, high < 0)
    # binomial with 400 draws at 0.025 a side: at most 19 in 99.8 of 100 tests
    assert misses.max() <= 19, misses
    assert 5 <= misses.sum() <= 33, misses  # 0.9175 to 0.9875


def test_coverage_of_a_difference_of_proportions_where_few_samples_differ():
    rng, draws, num = np.random.default_rng(0), 400, 200
    misses = np.zeros(2)
    for _ in range(draws):
        kind = torch.from_numpy(rng.choice([-1.0, 0.0, 1.0], p=[0.005, 0.98, 0.015], size=num))
        found = paired(Side(Estimate(float(kind.mean())), kind), flat(0.0, num), proportion=True)
        misses += (found.interval_samples[0] > 0.01, found.interval_samples[1] < 0.01)
    assert misses.sum() <= 33, misses
