"""Moments of the probability at the label against mpmath and sums over all of noise space.

They are compared through the noise model, whose fields are combinations of them. Tolerance 1e-13:
100 roundings of float64, for sums of about 1000 positive terms.
"""

from collections.abc import Iterable

import mpmath
import numpy as np
import pytest
import torch

from bvalign.analysis.collapse import noise_distributions as noise
from bvalign.analysis.collapse.noise_model import (
    NoiseModel,
    bias_sq_wrong,
    kl_noise_model,
    noise_model,
)


def relative(value: torch.Tensor, expected: float) -> float:
    return abs(float(value) / float(expected) - 1)


def assert_equal(model: NoiseModel, expected: Iterable[mpmath.mpf | torch.Tensor]) -> None:
    errors = [relative(value, reference) for value, reference in zip(model, expected, strict=True)]
    assert max(errors) < 1e-13


def test_unit_gumbel_is_an_f_distribution():
    """sum_{j != y} E_j / E_y = Z has density n z^(n-1) / (1+z)^(n+1), a = 1 / (1 + e^s' / Z)."""
    with mpmath.workdps(60):
        step = mpmath.mpf(1) / 12  # of log z
        z = [mpmath.exp(step * i) for i in range(-12 * 100, 12 * 130)]
        margins = (0, 2, 10, 30, 60, -30)
        residual = {s: [1 / (1 + mpmath.exp(s) / each) for each in z] for s in margins}
        for num_classes in (2, 3, 10, 100, 1000):
            n = num_classes - 1
            density = [step * n * (each / (1 + each)) ** n / (1 + each) for each in z]
            for s_prime in margins:
                m1 = mpmath.fdot(density, residual[s_prime])
                m2 = mpmath.fdot(density, [a * a for a in residual[s_prime]])
                bias_sq = mpmath.mpf(num_classes) / n * m1**2
                risk = (1 + mpmath.mpf(2) / num_classes) * m2
                expected = [bias_sq, risk - bias_sq, m1**2, m2 - m1**2]
                assert_equal(noise_model(s_prime, num_classes), expected)


@pytest.mark.parametrize("sigma", [0.01, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("s_prime", [0, 10, 60])
def test_two_classes_of_gaussian_noise(sigma, s_prime):
    """v_1 - v_0 is N(0, 2 sigma²), so that moments are one integral over it."""
    with mpmath.workdps(40):
        # steps small against 1 and against the width pi of the logistic function
        step = mpmath.mpf(1) / (10 * max(1, sigma))
        nodes = [step * i for i in range(-int(25 / step), int(25 / step) + 1)]
        weights = [step * mpmath.npdf(x) for x in nodes]
        spread = mpmath.sqrt(2) * sigma
        residuals = [1 / (1 + mpmath.exp(s_prime - spread * x)) for x in nodes]
        m1 = mpmath.fdot(weights, residuals)
        variance = mpmath.fdot(weights, [(a - m1) ** 2 for a in residuals])
        expected = [2 * m1**2, 2 * variance, m1**2, variance]
        assert_equal(noise_model(s_prime, 2, "gaussian", sigma=sigma), expected)


@pytest.mark.parametrize("s_prime", [2, 30])
def test_other_sign_of_gumbel_from_bessel_functions(s_prime):
    """phi(u) = E exp(-uA) = x K1(x) with x = 2 sqrt(u), -phi' = 2 K0(x), phi'' = 4 K1(x) / x.

    E a = n c int phi(u) (-phi'(cu)) phi(cu)^(n-1) du, E sum p_j² and E sum p_i p_j likewise.
    """
    with mpmath.workdps(24):
        step, c = mpmath.mpf(1) / 4, mpmath.exp(-s_prime)
        rows = []
        for i in range(-4 * 60, 4 * (s_prime + 12)):
            u = mpmath.exp(step * i)
            x, y = 2 * mpmath.sqrt(u), 2 * mpmath.sqrt(c * u)
            k0, k1 = mpmath.besselk(0, y), mpmath.besselk(1, y)
            rows.append((step * u * x * mpmath.besselk(1, x), c * u, y * k1, 2 * k0, 4 * k1 / y))
        for num_classes in (3, 10, 1000):
            n = num_classes - 1
            m1 = n * c * sum(w * d1 * phi ** (n - 1) for w, _, phi, d1, _ in rows)
            squares = n * c * sum(w * u * d2 * phi ** (n - 1) for w, u, phi, _, d2 in rows)
            m2 = squares + n * (n - 1) * c * sum(
                w * u * d1**2 * phi ** (n - 2) for w, u, phi, d1, _ in rows
            )
            bias_sq = num_classes * m1**2 / n
            expected = [bias_sq, m2 + squares - bias_sq, m1**2, m2 - m1**2]
            assert_equal(noise_model(s_prime, num_classes, "gumbel_max"), expected)


def test_three_classes_of_gaussian_noise_from_the_definition():
    """softmax(s' e_0 + v) averaged over the three-dimensional Gaussian by Gauss-Hermite."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(50)
    grid = np.stack(np.meshgrid(nodes, nodes, nodes), axis=-1).reshape(-1, 3)
    weight = np.einsum("i,j,k->ijk", weights, weights, weights).ravel() / weights.sum() ** 3
    exponentials = np.exp(0.5 * grid + np.array([1.0, 0, 0]))
    probs = exponentials / exponentials.sum(axis=1, keepdims=True)
    mean = weight @ probs
    model = noise_model(1.0, 3, "gaussian", sigma=0.5)
    assert relative(model.bias_sq, ((mean - [1, 0, 0]) ** 2).sum()) < 1e-10
    assert relative(model.variance, weight @ ((probs - mean) ** 2).sum(axis=1)) < 1e-10
    wrong = bias_sq_wrong(1.0, 3, "gaussian", sigma=0.5)
    assert relative(wrong, ((mean - [0, 1, 0]) ** 2).sum()) < 1e-10
    kl_risk = kl_noise_model(1.0, 3, "gaussian", sigma=0.5).kl_risk
    assert relative(kl_risk, -weight @ np.log(probs[:, 0])) < 1e-10


def test_nodes_left_out_do_not_count(monkeypatch):
    """Many classes and a variance of A that diverges are where the tail of A is needed most."""
    expected = noise_model(0, 10**6, "gumbel_max", sigma=0.5)
    monkeypatch.setattr(noise, "_NEGLIGIBLE", -70.0)
    assert_equal(noise_model(0, 10**6, "gumbel_max", sigma=0.5), expected)


def test_closed_form_equals_quadrature():
    """Unit Gumbel noise has its own transform; the general one takes over next to sigma = 1."""
    points = torch.tensor([-20.0, 0.0, 3.0, 60.0])
    for closed, general in (
        (noise_model(points, 10), noise_model(points, 10, sigma=1 + 1e-13)),
        (kl_noise_model(points, 10), kl_noise_model(points, 10, sigma=1 + 1e-13)),
    ):
        torch.testing.assert_close(tuple(closed), tuple(general), rtol=1e-11, atol=0)
