"""The test of groups against the rest, against exact distributions and other libraries."""

import numpy as np
import pytest
from scipy import stats

from bvalign.decisions.systematic.spreads import LeftOut, Samples
from bvalign.decisions.systematic.stand_out import adjusted, against_rest


def of_group(values, size, **given):
    """P-value of the first samples against the others."""
    numbers = (np.arange(len(values)) >= size).astype(np.int64)
    samples = Samples.of(numbers, 2, given.get("clusters"))
    return against_rest(samples, np.asarray(values, dtype=float), given.get("left_out"))[0]


@pytest.mark.parametrize(("size", "hits"), [(50, 3), (50, 6), (200, 1), (20, 5), (500, 30)])
def test_of_right_and_wrong_it_is_the_middle_of_the_hypergeometric_tail(size, hits):
    number, wrong = 2000, 60
    values = np.zeros(number)
    values[:hits] = 1
    values[-(wrong - hits) :] = 1
    exact = stats.hypergeom(number, wrong, size)
    tails = [exact.sf(hits) + exact.pmf(hits) / 2, exact.cdf(hits) - exact.pmf(hits) / 2]
    expected = min(1, 2 * min(tails))
    assert abs(np.log10(of_group(values, size) / expected)) < 0.4


def test_tails_are_pearson_type_three_with_the_moments_of_a_draw_without_replacement():
    rng = np.random.default_rng(0)
    values = rng.beta(0.2, 1.5, size=12)
    sums = np.array([values[rng.permutation(12)[:5]].mean() for _ in range(40_000)])
    mean, sd, skew = values.mean(), sums.std(), stats.skew(sums)
    z = (values[:5].mean() - mean) / sd
    tail = min(stats.pearson3.sf(z, skew), stats.pearson3.cdf(z, skew))
    freedom = 11
    t = stats.norm.ppf(tail)
    assert of_group(values, 5) == pytest.approx(2 * stats.t.cdf(t, freedom), rel=0.05)


def test_benjamini_hochberg_as_in_scipy():
    p = np.random.default_rng(0).uniform(size=50) ** 3
    np.testing.assert_allclose(adjusted(p), stats.false_discovery_control(p))
    gaps = np.insert(p, [3, 20], np.nan)
    np.testing.assert_allclose(adjusted(gaps)[np.isfinite(gaps)], adjusted(p))


def test_members_that_differ_by_group_and_clusters_weaken_the_evidence():
    rng = np.random.default_rng(0)
    wrong = (rng.uniform(size=(6, 400)) < 0.2).astype(float)
    wrong[0, :80] = 1  # one member fails on the group
    values, without = wrong.mean(axis=0), (wrong.sum(axis=0) - wrong) / 5
    alone = of_group(values, 80)
    both = of_group(values, 80, left_out=LeftOut(np.arange(400), without[None]))
    assert alone < 1e-6
    assert both > 0.01
    repeated = np.repeat(rng.uniform(size=50) < 0.3, 8).astype(float)
    repeated[:80] = np.repeat([1, 1, 1, 1, 1, 1, 0, 0, 0, 0], 8)
    clusters = np.arange(400) // 8
    of_clusters = of_group(repeated, 80, clusters=clusters)
    once = of_group(repeated[::8], 10)  # a cluster of equal samples is one sample
    assert of_clusters == pytest.approx(once, rel=0.3)
    assert of_group(repeated, 80) < of_clusters / 100


def test_small_groups_and_equal_values_are_no_evidence():
    assert np.isnan(of_group(np.arange(100) < 4, 4))
    assert np.isnan(of_group(np.arange(100) < 97, 97))
    assert of_group(np.ones(100), 20) == 1
    assert of_group(np.zeros(100), 20) == 1
