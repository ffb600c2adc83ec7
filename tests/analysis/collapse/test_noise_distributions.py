"""Draws and quadrature nodes of each distribution against its known moments."""

import math

import pytest
import torch

from bvalign.analysis.collapse.noise_distributions import LOG_DENSITY, draw_noise, quadrature

EULER, APERY = 0.5772156649015329, 1.2020569031595943
GUMBEL_SKEWNESS = 12 * math.sqrt(6) * APERY / math.pi**3  # 1.1395
MOMENTS = {  # mean, variance, skewness, excess kurtosis
    "gumbel": (-EULER, math.pi**2 / 6, -GUMBEL_SKEWNESS, 2.4),
    "gumbel_max": (EULER, math.pi**2 / 6, GUMBEL_SKEWNESS, 2.4),
    "gaussian": (0.0, 1.0, 0.0, 0.0),
    "logistic": (0.0, math.pi**2 / 3, 0.0, 1.2),
}


def test_every_distribution_is_tested():
    assert MOMENTS.keys() == LOG_DENSITY.keys()


@pytest.mark.parametrize("noise", MOMENTS)
@pytest.mark.parametrize("sigma", [0.1, 1.0, 3.0])
def test_quadrature_has_the_moments_of_the_distribution(noise, sigma):
    v, log_weight = quadrature(noise, sigma)
    weight, (mean, variance, skewness, kurtosis) = log_weight.exp(), MOMENTS[noise]
    centred = v / sigma - mean
    assert abs(weight.sum() - 1) < 1e-14
    for power, expected in (
        (1, 0.0),
        (2, variance),
        (3, skewness * variance**1.5),
        (4, (kurtosis + 3) * variance**2),
    ):
        assert abs((weight * centred**power).sum() - expected) < 1e-12 * (1 + abs(expected))


def test_reach_extends_an_exponential_tail():
    """Weights e^v of the lower Gumbel tail are kept down to v = -(45 sigma + reach)."""
    near, far = (quadrature("gumbel", 0.5, reach=reach)[0].min() for reach in (0.0, 60.0))
    assert near == -0.5 * 45
    assert far == -0.5 * 45 - 60


@pytest.mark.parametrize("noise", MOMENTS)
def test_draws_have_the_moments_of_the_distribution(noise):
    count, sigma = 200_000, 2.0
    generator = torch.Generator().manual_seed(0)
    x = draw_noise((count,), noise, sigma=sigma, generator=generator) / sigma
    mean, variance, skewness, kurtosis = MOMENTS[noise]
    standardised = (x - mean) / math.sqrt(variance)
    for power, expected in ((1, 0.0), (2, 1.0), (3, skewness), (4, kurtosis + 3)):
        values = standardised**power
        assert abs(values.mean() - expected) < 4.5 * values.std() / math.sqrt(count)


@pytest.mark.parametrize("noise", MOMENTS)
def test_draws_follow_their_generator(noise):
    first, again = (
        draw_noise((3, 5, 4), noise, generator=torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert first.dtype == torch.float64
    assert first.shape == (3, 5, 4)
    assert torch.equal(first, again)
    assert len(first.unique()) == 60


@pytest.mark.parametrize(
    ("noise", "sigma", "message"),
    [
        ("cauchy", 1.0, "got 'cauchy'"),
        ("gumbel", -1.0, "got -1.0"),
        ("gumbel", math.nan, "got nan"),
    ],
)
def test_what_is_refused(noise, sigma, message):
    with pytest.raises(ValueError, match=message):
        draw_noise((2,), noise, sigma=sigma, generator=torch.Generator())
