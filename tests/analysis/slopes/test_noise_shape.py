"""Shape of the noise: unbiased cumulants by brute force, known shapes, and its derivatives."""

import itertools

import numpy as np
import pytest

from bvalign.analysis.slopes.noise_shape import KStatistics, PooledShape, k_statistics

POPULATION = (0.0, 1.0, 3.0, 7.5)


def central_sums(members):
    """(members, samples) -> sums over members of powers of deviations."""
    d = members - members.mean(axis=0)
    return [(d**power).sum(axis=0) for power in (2, 3, 4)]


@pytest.mark.parametrize("count", [4, 5])
def test_k_statistics_are_unbiased(count):
    """The average over all equally likely draws of members from four values is exact."""
    draws = np.array(list(itertools.product(POPULATION, repeat=count))).T
    found = k_statistics(*central_sums(draws), count)
    second, third, fourth = (np.mean((POPULATION - np.mean(POPULATION)) ** r) for r in (2, 3, 4))
    cumulants = (second, third, fourth - 3 * second**2, second**2)
    assert [k.mean() for k in found] == pytest.approx(cumulants, rel=1e-12)


def test_k_statistics_need_four_members():
    with pytest.raises(ValueError, match="of order four need four members, got 3"):
        k_statistics(*central_sums(np.eye(3)), 3)


def drawn(samples, members, shape, seed=0):
    """Log odds with gamma noise of a skewness that depends on mu, and sd that vary at random."""
    rng = np.random.default_rng(seed)
    mu = rng.uniform(-10, -2, size=samples)
    skewness = shape(mu)
    a = 4 / skewness**2
    noise = (rng.gamma(a, size=(members, samples)) - a) / np.sqrt(a)
    return mu + rng.uniform(0.5, 1.5, size=samples) * noise


def pooled(odds):
    return PooledShape(
        odds.mean(axis=0), KStatistics(*k_statistics(*central_sums(odds), len(odds)))
    )


def test_a_known_shape_is_recovered():
    """Gamma noise: excess kurtosis is 3/2 of the squared skewness. Few members, many samples."""
    odds = drawn(60_000, 6, lambda mu: np.full(mu.shape, 0.8))
    found = pooled(odds)
    assert len(found.bands) == 8
    # bands scatter by their standard error; sd is not log-normal within a band, which costs 2%
    for column, expected in enumerate((0.8, 0.96)):
        of_bands = found.of_bands[:, column]
        error = of_bands.std(ddof=1) / 8**0.5
        assert abs(of_bands.mean() - expected) < 4 * error + 0.02 * expected
    assert abs(found.coefficients[1]).max() < 0.02


def test_a_trend_in_mu_is_a_straight_line():
    odds = drawn(60_000, 8, lambda mu: 1.0 + 0.08 * mu)
    found = pooled(odds)
    at = np.array([-8.0, -4.0])
    lines = found.basis(at) @ found.coefficients
    assert lines[:, 0] == pytest.approx([0.36, 0.68], abs=0.05)
    # beyond the bands the shape of the last ones holds
    ends = found.basis(np.array([-99.0, found.centres[0]])) @ found.coefficients
    np.testing.assert_array_equal(ends[0], ends[1])


def test_bands_are_equally_many_samples_in_the_order_of_mu():
    rng = np.random.default_rng(0)
    for samples, number in ((19, 1), (30, 1), (85, 4), (1000, 8)):
        odds = rng.normal(size=(5, samples))
        found = pooled(odds)
        assert len(found.bands) == number
        assert np.ptp([len(band) for band in found.bands]) <= 1
        order = np.concatenate(found.bands)
        assert (np.diff(odds.mean(axis=0)[order]) >= 0).all()
        assert found.coefficients.shape == (2 if number >= 4 else 1, 2)


def test_the_shape_of_a_band_is_a_ratio_of_means():
    rng = np.random.default_rng(1)
    odds = rng.gamma(2.0, size=(5, 30)) * rng.uniform(0.2, 2, size=30)
    k = k_statistics(*central_sums(odds), 5)
    found = PooledShape(odds.mean(axis=0), k)
    second, squared = k.second.mean(), k.second_squared.mean()
    assert squared > second**2  # sd differ: E sd³ of a log-normal sd with these two moments
    log_variance = np.log(squared / second**2) / 4  # of log sd
    cubed = second**1.5 * np.exp(1.5 * log_variance)
    expected = (k.third.mean() / cubed, k.fourth.mean() / squared)
    assert found.of_bands[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("samples", [30, 200])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_influence_and_weights_are_the_derivative_of_the_lines(samples, spread):
    """The change of a number by another set of k-statistics is the mean change of influence."""
    rng = np.random.default_rng(2)
    odds = rng.gamma(2.0, size=(6, samples)) * np.exp(spread * rng.normal(size=samples))
    mu, k = odds.mean(axis=0), k_statistics(*central_sums(odds), 6)
    if not spread:  # as if no sd differed: E sd⁴ below (E sd²)²
        k = k._replace(second_squared=0.9 * k.second.mean() ** 2 + 0 * k.second)
    other = KStatistics(*(values * (1 + 1e-5 * rng.normal(size=samples)) for values in k))
    whole, changed = PooledShape(mu, k), PooledShape(mu, other)
    moved = whole.influence(other) - whole.influence(k)
    for place, band in enumerate(whole.bands):
        expected = changed.of_bands[place] - whole.of_bands[place]
        assert moved[:, band].mean(axis=1) == pytest.approx(expected, rel=1e-3, abs=1e-10)
    gradient = rng.normal(size=whole.coefficients.shape)
    of_number = (gradient * (changed.coefficients - whole.coefficients)).sum()
    by_samples = (whole.weights(gradient) * moved).sum(axis=0).mean()
    assert by_samples == pytest.approx(of_number, rel=1e-3, abs=1e-10)
