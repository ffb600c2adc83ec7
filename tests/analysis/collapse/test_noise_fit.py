"""Fits of the noise distribution against loops written from the definition, and on drawn logits.

Estimates must lie within 4.5 of their own standard errors of the truth.
"""

import math

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bvalign.analysis.collapse import noise_fit as logit_noise
from bvalign.analysis.collapse.noise_distributions import LOG_DENSITY, draw_noise
from bvalign.analysis.collapse.noise_fit import fit_logit_noise

SKEWNESS = {"gumbel": -1.1395470994, "gumbel_max": 1.1395470994, "gaussian": 0.0, "logistic": 0.0}
KURTOSIS = {"gumbel": 2.4, "gumbel_max": 2.4, "gaussian": 0.0, "logistic": 1.2}
VARIANCE = {
    "gumbel": math.pi**2 / 6,
    "gumbel_max": math.pi**2 / 6,
    "gaussian": 1.0,
    "logistic": math.pi**2 / 3,
}


def draw_logits(shape, noise, sigma=1.0, seed=0):
    """Logits of random labels with margins from 2 to 12, and the margins."""
    generator = torch.Generator().manual_seed(seed)
    logits = draw_noise(shape, noise, sigma=sigma, generator=generator)
    target = torch.randint(shape[2], shape[1:2], generator=generator)
    margin = 2 + 10 * torch.rand(shape[1], generator=generator, dtype=torch.float64)
    logits += margin.unsqueeze(-1) * torch.nn.functional.one_hot(target, shape[2])
    return logits, target, margin


def reference_moments(logits):
    """Skewness and excess kurtosis factors as separate formulas; residuals by loops."""
    members, samples, classes = logits.shape
    residuals = []
    for i in range(samples):
        for m in range(members):
            for k in range(classes):
                row, column = logits[m, i].mean(), logits[:, i, k].mean()
                residuals.append(logits[m, i, k] - row - column + logits[:, i].mean())
    e = np.array(residuals)
    variance, skewness, kurtosis = (e**2).mean(), 0.0, 0.0
    skewness = (e**3).mean() / variance**1.5
    kurtosis = (e**4).mean() / variance**2 - 3
    for n in (members, classes):
        variance *= n / (n - 1)
        skewness *= math.sqrt(n * (n - 1)) / (n - 2)
        kurtosis *= n * (n - 1) / (n**2 - 3 * n + 3)
    return variance, skewness, kurtosis


def test_moments_equal_the_definition():
    logits, target, _ = draw_logits((3, 5, 4), "gumbel")
    fit = fit_logit_noise(logits, target)
    expected = reference_moments(logits.numpy())
    found = (fit.variance, fit.skewness, fit.excess_kurtosis)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_margin_equals_the_definition():
    logits, target, _ = draw_logits((3, 5, 4), "logistic")
    for i, estimate in enumerate(fit_logit_noise(logits, target).s_prime):
        label = int(target[i])
        others = [k for k in range(4) if k != label]
        differences = [logits[m, i, label] - logits[m, i, others].mean() for m in range(3)]
        assert abs(estimate - sum(differences) / 3) < 1e-12


@pytest.mark.parametrize("noise", LOG_DENSITY)
@pytest.mark.parametrize("shape", [(4, 3000, 10), (20, 200, 5), (3, 4000, 3)])
def test_the_distribution_behind_the_logits_is_found(noise, shape):
    sigma = 1.7
    logits, target, margin = draw_logits(shape, noise, sigma)
    fit = fit_logit_noise(logits, target)
    variance = sigma**2 * VARIANCE[noise]
    assert abs(fit.variance - variance) < 4.5 * fit.variance_error
    assert abs(fit.skewness - SKEWNESS[noise]) < 4.5 * fit.skewness_error
    assert abs(fit.excess_kurtosis - KURTOSIS[noise]) < 4.5 * fit.excess_kurtosis_error
    assert fit.variance_error < 0.1 * variance
    error = math.sqrt(variance * shape[2] / (shape[2] - 1) / shape[0])
    assert abs((fit.s_prime - margin).mean()) < 4.5 * error / math.sqrt(shape[1])
    assert abs((fit.s_prime - margin).std() / error - 1) < 4.5 / math.sqrt(shape[1])

    members, samples, classes = shape
    assert min(fit.fits, key=lambda name: fit.fits[name].distance) == noise
    assert fit.fits[noise].distance < 1 / math.sqrt(samples * (members - 1) * (classes - 1))
    assert abs(fit.fits[noise].scale / sigma - 1) < 4.5 * fit.variance_error / variance / 2


@pytest.mark.parametrize("shape", [(2, 3000, 5), (5, 3000, 2)])
def test_two_members_or_classes_hide_the_sign(shape):
    logits, target, _ = draw_logits(shape, "gumbel")
    fit = fit_logit_noise(logits, target)
    assert math.isnan(fit.skewness)
    assert math.isnan(fit.skewness_error)
    assert abs(fit.excess_kurtosis - 2.4) < 4.5 * fit.excess_kurtosis_error
    assert abs(fit.fits["gumbel"].distance - fit.fits["gumbel_max"].distance) < 1e-12
    assert fit.fits["gumbel"].distance < fit.fits["gaussian"].distance


@pytest.mark.parametrize("noise", LOG_DENSITY)
@pytest.mark.parametrize(("num_members", "num_classes"), [(2, 2), (3, 5)])
def test_centred_distribution_is_that_of_centred_draws(noise, num_members, num_classes):
    """Kolmogorov's bound at 1e-6 for independent draws, one residual of each: 2.7 / sqrt(N)."""
    count, generator = 100_000, torch.Generator().manual_seed(3)
    v = draw_noise((num_members, count, num_classes), noise, generator=generator)
    residual = v - v.mean(dim=0) - v.mean(dim=2, keepdim=True) + v.mean(dim=(0, 2)).view(1, -1, 1)
    deviation, cdf = logit_noise._centred_distribution(noise, num_members, num_classes)
    values = (residual[0, :, 0] / deviation).sort().values
    empirical = torch.searchsorted(values, logit_noise.EDGES, right=True) / count
    assert (empirical - cdf).abs().max() < 2.7 / math.sqrt(count)
    assert 0 <= cdf[0] + 1e-8 < 1e-5
    assert 0 <= 1 - cdf[-1] + 1e-8 < 1e-5
    assert abs(values.square().mean() - 1) < 4.5 * values.square().std() / math.sqrt(count)


def test_centred_gaussian_is_gaussian():
    deviation, cdf = logit_noise._centred_distribution("gaussian", 4, 7)
    assert abs(deviation - math.sqrt(3 / 4 * 6 / 7)) < 1e-14
    torch.testing.assert_close(cdf, torch.special.ndtr(logit_noise.EDGES), rtol=0, atol=1e-13)


def test_standard_errors_are_those_of_the_jackknife(monkeypatch):
    """Leaving out one sample at a time; both are right to first order in 1 / N."""
    monkeypatch.setattr(logit_noise, "_fit_distributions", lambda *_: {})  # not needed, and slow
    count = 400
    logits, target, _ = draw_logits((4, count, 6), "gumbel")
    rest = [torch.arange(count) != i for i in range(count)]
    left_out = np.array([fit_logit_noise(logits[:, i], target[i])[1:7:2] for i in rest])
    expected = math.sqrt(count - 1) * left_out.std(axis=0)
    found = fit_logit_noise(logits, target)[2:7:2]
    np.testing.assert_allclose(found, expected, rtol=0.03)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_symmetries(seed, factor):
    logits, target, _ = draw_logits((3, 5, 4), "gumbel", seed=seed)
    generator = torch.Generator().manual_seed(seed)
    members, samples, classes = (torch.randperm(n, generator=generator) for n in (3, 5, 4))
    fit = fit_logit_noise(logits, target)

    permuted = logits[members][:, samples][:, :, classes]
    same = fit_logit_noise(permuted, classes.argsort()[target[samples]])
    torch.testing.assert_close(same.s_prime, fit.s_prime[samples])
    np.testing.assert_allclose(same[1:7], fit[1:7], rtol=1e-9)

    mean_logits = torch.randn(5, 4, generator=generator)
    shifts = torch.randn(3, 5, 1, generator=generator)
    same = fit_logit_noise(factor * logits + mean_logits + shifts, target)
    np.testing.assert_allclose(same.skewness, fit.skewness, rtol=1e-9)
    np.testing.assert_allclose(same.excess_kurtosis, fit.excess_kurtosis, rtol=1e-9)
    for name in LOG_DENSITY:
        np.testing.assert_allclose(same.fits[name].scale, factor * fit.fits[name].scale, rtol=1e-9)
        moved = abs(same.fits[name].distance - fit.fits[name].distance)
        assert moved <= 2 / 60  # a value on an edge


def test_blocks_of_samples_do_not_matter(monkeypatch):
    logits, target, _ = draw_logits((3, 50, 4), "gumbel")
    whole = fit_logit_noise(logits, target)
    monkeypatch.setattr(logit_noise, "_BLOCK", 7)
    parts = fit_logit_noise(logits, target)
    np.testing.assert_allclose(parts[1:7], whole[1:7], rtol=1e-12)
    for name, fit in whole.fits.items():
        assert parts.fits[name][:2] == pytest.approx(fit[:2])


def test_one_sample_has_no_standard_error():
    fit = fit_logit_noise(*draw_logits((3, 1, 4), "gaussian")[:2])
    assert math.isfinite(fit.variance)
    assert math.isnan(fit.variance_error)


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(3, 5, 4), torch.zeros(4).long(), r"got \(3, 5, 4\) and \(4,\)"),
        (torch.zeros(1, 5, 4), torch.zeros(5).long(), r"got \(1, 5, 4\) and \(5,\)"),
        (torch.zeros(3, 5, 1), torch.zeros(5).long(), r"got \(3, 5, 1\) and \(5,\)"),
        (torch.zeros(3, 0, 4), torch.zeros(0).long(), r"got \(3, 0, 4\) and \(0,\)"),
        (torch.zeros(5, 4), torch.zeros(5).long(), r"got \(5, 4\) and \(5,\)"),
        (torch.zeros(3, 5, 4), torch.tensor([0, 1, 2, 4, 3]), r"labels must lie in 0..3, got 4"),
        (torch.zeros(3, 5, 4), torch.zeros(5).long(), "members must differ, got 3"),
        (torch.eye(4).repeat(3, 2, 1).log(), torch.zeros(8).long(), "NaN or inf in member 0"),
    ],
)
def test_what_is_refused(logits, target, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users
    with pytest.raises(ValueError, match=message):
        fit_logit_noise(logits, target)
