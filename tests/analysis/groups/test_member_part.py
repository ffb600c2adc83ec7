"""Means over samples with the part of the members: the formula, coverage, and what is missing."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from bvalign.analysis.decompositions import Column, Unit
from bvalign.analysis.groups import MemberPart, left_out_sums


def part_of(table, clusters=None):
    """The part of the members in means of a table (members, samples) whose rows are averaged."""
    members = len(table)
    without = (table.sum(dim=0) - table) / (members - 1)
    return MemberPart(("t",), left_out_sums((without,)), table.shape[1], clusters)


def mean_of(table, **unit):
    """The mean over members as a column."""
    return Column(table.mean(dim=0), Unit("one", **unit))


def test_what_is_never_below_zero_has_no_interval_below_it():
    table = torch.tensor([[0.0, 0.0, 0.9], [0.1, 0.0, 0.5], [0.0, 0.0, 0.2]]).double()
    any_sign = part_of(table).mean("t", mean_of(table))
    positive = part_of(table).mean("t", mean_of(table, kind="positive"))
    for free, bounded in zip(any_sign[1:4], positive[1:4], strict=True):
        assert free[0] < 0
        assert bounded == (0.0, free[1])


def test_a_mean_has_the_intervals_of_its_two_variances():
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(4, 7, generator=generator, dtype=torch.float64)
    found = part_of(table).mean("t", mean_of(table))
    t = table.numpy()
    of_samples = t.mean(axis=0).var(ddof=1) / 7
    of_members = t.mean(axis=1).var(ddof=1) / 4
    both = sum(t[:, n].var(ddof=1) / 4 for n in range(7)) / 7**2
    extra = max(of_members - both, 0)
    assert found.value == pytest.approx(t.mean(), rel=1e-12)
    assert found.interval_samples == pytest.approx(
        stats.t.interval(0.95, 6, t.mean(), math.sqrt(of_samples)), rel=1e-9
    )
    total = of_samples + extra
    freedom = total**2 / (of_samples**2 / 6 + extra * of_members / 3) if extra else 6
    assert found.interval == pytest.approx(
        stats.t.interval(0.95, freedom, t.mean(), math.sqrt(total)), rel=1e-9
    )
    assert found.reason is None


def test_clusters_are_the_units_of_a_mean():
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    clusters = torch.tensor([3, 0, 3, 8, 0, 8])
    found = part_of(table, clusters).mean("t", mean_of(table))
    values = table.mean(dim=0).numpy()
    centred = values - values.mean()
    sums = [centred[[0, 2]].sum(), centred[[1, 4]].sum(), centred[[3, 5]].sum()]
    error = math.sqrt(sum(s * s for s in sums) / 6**2 * 3 / 2)
    expected = stats.t.interval(0.95, 2, values.mean(), error)
    assert found.interval_samples == pytest.approx(expected, rel=1e-9)


def test_what_is_missing_has_its_reason():
    table = torch.tensor([[0.0, 1.0, 3.0], [2.0, 1.0, 0.0]]).double()
    few = part_of(table).mean("t", mean_of(table))
    assert few.interval is None
    assert few.interval_samples is not None
    assert "needs three of them" in few.reason
    several = part_of(table.repeat(2, 1)).mean("another", mean_of(table))
    assert several.interval is None
    assert several.reason == "over samples alone: no values with members left out"
    one = part_of(table.repeat(2, 1)[:, :1]).mean("t", mean_of(table[:, :1]))
    assert one.quoted_interval is None
    assert "one independent sample" in one.reason
    undefined = part_of(table.repeat(2, 1)).mean("t", mean_of(table * math.nan))
    assert undefined.value is None
    assert undefined.reason


@pytest.mark.parametrize(
    ("of_sample", "of_member", "own"), [(1.0, 0.5, 1.0), (0.3, 0.6, 0.5), (1.0, 0.05, 0.5)]
)
def test_intervals_cover_known_components_19_times_of_20(of_sample, of_member, own):
    """Sample + member + error, 8 members and 60 samples: 900 draws know 95% to 0.7%."""
    rng, hits = np.random.default_rng(7), np.zeros(2)
    draws = 900
    for _ in range(draws):
        y = of_sample * rng.standard_normal(60) + of_member * rng.standard_normal((8, 1))
        table = torch.from_numpy(y + own * rng.standard_normal((8, 60)))
        found = part_of(table).mean("t", mean_of(table))
        for place, (low, high) in enumerate((found.interval, found.interval_samples)):
            hits[place] += low <= 0 <= high
    covered, alone = hits / draws
    assert 0.93 <= covered <= 0.97
    if of_member > 0.1:
        assert alone < 0.9
