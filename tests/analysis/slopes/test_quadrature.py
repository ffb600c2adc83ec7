"""Expectations of expit(mu + sd eps) against mpmath, and noise between two distributions."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.special import polygamma

from bvalign.analysis.slopes.noise_families import noise_values
from bvalign.analysis.slopes.quadrature import (
    CHUNK,
    NODES,
    WEIGHTS,
    LogOdds,
    NoiseTable,
    derivatives,
    expectations,
    rare_share,
)

mp = mpmath.mp.clone()
mp.dps = 25


def table_of(*values, low=-1.0, high=1.0):
    """A table of one set with these values at its points."""
    ends = (torch.tensor([end], dtype=torch.float64) for end in (low, high))
    return NoiseTable(*ends, torch.stack([torch.as_tensor(v) for v in values]).unsqueeze(0))


def odds_of(mu, sd):
    return LogOdds(*(torch.tensor(v, dtype=torch.float64).reshape(1, -1) for v in (mu, sd)))


def integrals(mu, sd, eps, density, ends):
    """Mean and variance of expit(mu + sd eps(x)) for x of a density."""
    points = list(range(*ends, 2))

    def f(x):
        return 1 / (1 + mp.exp(-(mu + sd * eps(x))))

    mean = mp.quad(lambda x: f(x) * density(x), points)
    return float(mean), float(mp.quad(lambda x: (f(x) - mean) ** 2 * density(x), points))


def normal(x):
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


@pytest.mark.parametrize(
    ("mu", "sd", "error"),
    [(-12, 1.0, 1e-12), (-3, 1.5, 1e-10), (0, 0.3, 1e-13), (-20, 2.5, 1e-8), (-8, 4.0, 1e-4)],
)
def test_normal_noise(mu, sd, error):
    found = expectations(odds_of([mu], [sd]), table_of(NODES, NODES))
    expected = integrals(mu, mp.mpf(sd), lambda x: x, normal, (-12, 24))
    assert [part.item() for part in found] == pytest.approx(expected, rel=error, abs=0)


@pytest.mark.parametrize(("shift", "log_scale"), [(0.3, -0.2), (-0.2, 0.1), (0.0, -0.3)])
def test_sinh_arcsinh_noise(shift, log_scale):
    """The member of the family that has these moments, found from the moments alone."""

    def plain(x):
        return mp.sinh((mp.asinh(x) + shift) / mp.exp(log_scale))

    def moment(power):
        return mp.quad(lambda x: plain(x) ** power * normal(x), range(-12, 14, 2))

    raw = [moment(power) for power in (1, 2, 3, 4)]
    mean, variance = raw[0], raw[1] - raw[0] ** 2
    third = raw[2] - 3 * mean * raw[1] + 2 * mean**3
    fourth = raw[3] - 4 * mean * raw[2] + 6 * mean**2 * raw[1] - 3 * mean**4
    shape = float(third / variance**1.5), float(fourth / variance**2 - 3)

    def eps(x):
        return (plain(x) - mean) / mp.sqrt(variance)

    values = noise_values(*shape)
    exact = np.array([float(eps(mp.mpf(x))) for x in NODES.tolist()])
    np.testing.assert_allclose(values, exact, rtol=1e-6, atol=1e-6)
    for mu, sd in ((-12, 1.0), (-3, 1.5), (-9, 2.0)):
        found = expectations(odds_of([mu], [sd]), table_of(values, values))
        expected = integrals(mu, mp.mpf(sd), eps, normal, (-12, 24))
        assert [part.item() for part in found] == pytest.approx(expected, rel=1e-4, abs=0)


@pytest.mark.parametrize(("p", "q"), [(3.0, 3.0), (8.0, 2.0), (1.5, 4.0)])
def test_log_f_noise(p, q):
    """Against the density of the logarithm of an F variable, e^(p x) / (1 + e^x)^(p + q)."""
    mean, variance = polygamma(0, p) - polygamma(0, q), polygamma(1, p) + polygamma(1, q)
    skewness = (polygamma(2, p) - polygamma(2, q)) / variance**1.5
    kurtosis = (polygamma(3, p) + polygamma(3, q)) / variance**2
    values = noise_values(float(skewness), float(kurtosis), "log_f")

    def density(x):
        return mp.exp(p * x - (p + q) * mp.log1p(mp.exp(x))) / mp.beta(p, q)

    def eps(x):
        return (x - float(mean)) / mp.sqrt(float(variance))

    for mu, sd, error in ((-12, 1.0, 1e-5), (-3, 1.5, 1e-6), (-9, 2.0, 1e-3)):
        found = expectations(odds_of([mu], [sd]), table_of(values, values))
        expected = integrals(mu, mp.mpf(sd), eps, density, (-50, 52))
        assert [part.item() for part in found] == pytest.approx(expected, rel=error, abs=0)


@pytest.mark.parametrize("shape", [(0.0, 0.0), (0.4, 0.6)])
def test_derivatives_are_those_of_the_expectations(shape):
    table = table_of(*[torch.from_numpy(noise_values(*shape))] * 2)
    mu, sd, step = [-12.0, -3.0, -8.0, 1.0], [1.0, 1.5, 3.0, 0.2], 1e-5
    found = derivatives(odds_of(mu, sd), table)
    for place, (by_mu, by_sd) in enumerate(((step, 0.0), (0.0, step))):
        up, down = (
            expectations(odds_of(np.add(mu, s * by_mu), np.add(sd, s * by_sd)), table)
            for s in (1, -1)
        )
        for name in ("mean", "variance"):
            expected = (getattr(up, name) - getattr(down, name)) / (2 * step)
            by = ("mu", "sd")[place]
            torch.testing.assert_close(
                getattr(found, f"{name}_by_{by}"), expected, rtol=1e-6, atol=1e-16
            )


def test_between_two_points_the_noise_is_a_mixture_of_unit_variance():
    """Three points at -2, 0 and 2: samples at them, between them and beyond the ends."""
    values = [torch.from_numpy(noise_values(*s)) for s in ((0.0, 0.0), (0.5, 0.5), (-0.6, 1.0))]
    mu, sd = [-2.0, -1.3, 0.0, 0.6, 2.0, -9.0, 7.0], [1.1] * 7
    found = expectations(odds_of(mu, sd), table_of(*values, low=-2.0, high=2.0))
    weights = WEIGHTS.numpy()
    for n, m in enumerate(mu):
        place = (min(max(m, -2.0), 2.0) + 2) / 2
        left = min(int(place), 1)
        h = (1 - place + left) * values[left].numpy() + (place - left) * values[left + 1].numpy()
        h = h / np.sqrt(h**2 @ weights)
        f = 1 / (1 + np.exp(-(m + sd[n] * h)))
        mean = f @ weights
        assert found.mean[0, n].item() == pytest.approx(mean, rel=1e-12)
        assert found.variance[0, n].item() == pytest.approx((f - mean) ** 2 @ weights, rel=1e-12)


def test_every_sample_of_a_large_block_and_every_set_has_its_own_values():
    generator = torch.Generator().manual_seed(0)
    mu = torch.rand(2, 2 * CHUNK + 5, generator=generator, dtype=torch.float64) * 12 - 11
    sd = torch.rand(mu.shape, generator=generator, dtype=torch.float64) + 0.2
    first, second = (torch.from_numpy(noise_values(*s)) for s in ((0.0, 0.0), (0.6, 1.0)))
    table = NoiseTable(
        torch.tensor([-8.0, -3.0]).double(),
        torch.tensor([-1.0, 0.0]).double(),
        torch.stack([torch.stack([first, second]), torch.stack([second, first])]),
    )
    whole = expectations(LogOdds(mu, sd), table)
    for number in range(2):
        own = NoiseTable(*(part[number : number + 1] for part in table))
        for n in (0, 1, CHUNK, 2 * CHUNK + 4):
            at = LogOdds(mu[number : number + 1, n : n + 1], sd[number : number + 1, n : n + 1])
            for part, alone in zip(whole, expectations(at, own), strict=True):
                assert part[number, n].item() == pytest.approx(alone.item(), rel=1e-12)
    repeated = expectations(LogOdds(mu, sd), table_of(first, second).repeated(2))
    alone = expectations(LogOdds(mu[1:], sd[1:]), table_of(first, second))
    torch.testing.assert_close(repeated.mean[1], alone.mean[0], rtol=1e-14, atol=0)


def test_the_share_of_rare_members_is_their_part_of_the_integral():
    mu, sd, score = -6.0, 2.0, 3.0  # midway between two nodes

    def square(x):
        return normal(x) / (1 + mp.exp(-(mu + sd * x))) ** 2

    beyond, whole = (mp.quad(square, range(start, 25, 1)) for start in (3, -12))
    found = rare_share(odds_of([mu], [sd]), table_of(NODES, NODES), score)
    assert found.item() == pytest.approx(float(beyond / whole), rel=0.02)
    assert rare_share(odds_of([mu], [sd]), table_of(NODES, NODES), 20.0).item() == 0
