"""Distributions of a given skewness and kurtosis: their moments, ends and limits."""

import numpy as np
import pytest

from bvalign.analysis.slopes.noise_families import noise_table, noise_values
from bvalign.analysis.slopes.quadrature import NODES, WEIGHTS

NODES, WEIGHTS = NODES.numpy(), WEIGHTS.numpy()


def moments(values):
    return [values**power @ WEIGHTS for power in (1, 2, 3, 4)]


@pytest.mark.parametrize("tails", ["sinh_arcsinh", "log_f"])
@pytest.mark.parametrize("shape", [(0.3, 0.4), (0.0, 1.0), (-0.4, 0.6), (0.8, 1.6), (0.0, 0.05)])
def test_both_families_have_the_moments_that_are_asked_for(shape, tails):
    mean, variance, third, fourth = moments(noise_values(*shape, tails))
    assert abs(mean) < 1e-12
    assert variance == pytest.approx(1, abs=1e-12)
    # log_f is fitted by its closed moments: the rest is the error of the rule in its tails
    error = 1e-5 if tails == "sinh_arcsinh" else 2e-3
    assert (third, fourth - 3) == pytest.approx(shape, abs=error)


def test_no_skewness_and_no_kurtosis_is_the_normal():
    np.testing.assert_allclose(noise_values(0.0, 0.0), NODES, rtol=0, atol=1e-6)


def test_log_f_needs_kurtosis_and_is_the_other_family_without():
    assert np.array_equal(noise_values(0.2, -0.3, "log_f"), noise_values(0.2, -0.3))
    assert not np.allclose(noise_values(0.2, 0.5, "log_f"), noise_values(0.2, 0.5))


@pytest.mark.parametrize("tails", ["sinh_arcsinh", "log_f"])
def test_any_shape_has_a_nearest_distribution_without_nan(tails):
    for skewness in np.linspace(-3, 3, 7):
        for kurtosis in (-1.5, -0.5, 0.0, 0.011, 0.3, 2.0, 9.0, 60.0):
            values = noise_values(float(skewness), float(kurtosis), tails)
            assert np.isfinite(values).all(), (skewness, kurtosis)
            assert (np.diff(values) >= 0).all(), (skewness, kurtosis)
            assert moments(values)[:2] == pytest.approx([0, 1], abs=1e-9)


def test_exponential_tails_are_straight_lines_in_the_logarithm():
    """The survival of log_f falls by the same factor per unit, far out."""
    values = noise_values(0.0, 1.2, "log_f")
    far = NODES >= 8
    logs = -(NODES[far] ** 2) / 2 - np.log(NODES[far])  # of the survival of a normal
    rates = np.diff(logs) / np.diff(values[far])
    assert np.ptp(rates) < 0.02 * abs(rates.mean())


def test_a_table_holds_the_distributions_at_its_points():
    points, lines = np.array([-5.0, -3.0, -1.0]), np.array([[0.0, 0.0], [0.2, 0.1], [0.4, 0.2]])
    table = noise_table(points, lines)
    assert (table.low.item(), table.high.item()) == (-5, -1)
    for place, shape in enumerate(lines):
        np.testing.assert_array_equal(table.values[0, place].numpy(), noise_values(*shape))
