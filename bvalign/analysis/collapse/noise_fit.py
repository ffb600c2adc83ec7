"""Noise in the logits of real members, against the distributions of the collapse model.

Chen et al. 2024, section 5, writes the logits of a sample of class y as s' e_y + v. With z_mk the
logit of member m and class k of one sample:
    s_prime   mean_m (z_my - mean_{k != y} z_mk)
    e_mk      z_mk - mean_m z_mk - mean_k z_mk + mean_mk z_mk: the residual, centred over members
              and classes, hence free of s', of any other mean logits and of what softmax ignores
If v is iid with cumulants kappa_2 (variance), kappa_3 (skewness kappa_2^1.5) and kappa_4 (excess
kurtosis kappa_2²), then e_mk is a combination of M K values of v with coefficients that are
products of one factor for each axis, so
    cumulant r of e_mk = kappa_r g_r(M) g_r(K),   g_r(n) = [(n-1)^r + (n-1) (-1)^r] / n^r
which is undone here. Unit distributions to compare with (M = 2 or K = 2 hides skewness: g_3 = 0):
                         gumbel    gumbel_max   gaussian   logistic
    variance             pi²/6     pi²/6        1          pi²/3
    skewness             -1.1395   1.1395       0          0
    excess kurtosis      2.4       2.4          0          1.2

Centring also changes the shape of a distribution, so each one is centred in the same way before it
is compared: the distribution function of e_mk follows from the product of characteristic functions
over all coefficients, by Gil-Pelaez inversion. Samples are pooled and taken as independent; a scale
that differs between samples shows up as excess kurtosis.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.collapse.noise_distributions import LOG_DENSITY, quadrature

_BLOCK = 2**18
"""Logits at a time: their float64 copies stay in the cache."""

EDGES = torch.linspace(-12, 12, 601, dtype=torch.float64)
"""Points of the distribution functions, in standard deviations."""

_STEP = 0.2  # of frequencies: distribution functions repeat after 2 pi / 0.2 = 31
_FREQUENCIES = torch.arange(_STEP / 2, 25, _STEP, dtype=torch.float64)


class DistributionFit(NamedTuple):
    """One distribution, scaled to the variance of the residuals."""

    scale: float  # nats; the `sigma` of `noise_model`
    distance: float  # Kolmogorov's, between the residuals and the distribution centred alike
    cdf: Float[Tensor, " edges"]  # of the centred distribution, at `EDGES`


class LogitNoise(NamedTuple):
    """Noise pooled over samples, members and classes; errors are standard errors over samples."""

    s_prime: Float[Tensor, " samples"]  # float64, nats
    variance: float  # nats²
    variance_error: float
    skewness: float  # nan if M = 2 or K = 2
    skewness_error: float
    excess_kurtosis: float
    excess_kurtosis_error: float
    fits: dict[str, DistributionFit]  # by name; the smallest distance fits best
    empirical_cdf: Float[Tensor, " edges"]  # of the residuals, at `EDGES`


def fit_logit_noise(
    logits: Float[Tensor, "members samples classes"], target: Int[Tensor, " samples"]
) -> LogitNoise:
    """Estimates the moments of the noise and fits each distribution to it.

    For the true distribution `distance` is about 0.5 / sqrt(N (M-1) (K-1)); one a few times further
    away is ruled out. Works through blocks of 2**18 logits and holds a few float64 copies of one.

    Args:
        logits: of M >= 2 members and K >= 2 classes, any float type.
        target: labels, int64 in 0..K-1.

    Raises:
        ValueError: shapes do not fit, a label is out of range, logits are NaN or inf, or all
            members agree.

    >>> logits = torch.tensor([[[3.0, 0.0]], [[1.0, 0.0]]])       # e_mk = ±1/2 and g_2(2) = 1/2
    >>> fit = fit_logit_noise(logits, torch.tensor([0]))
    >>> fit.s_prime.item(), fit.variance
    (2.0, 1.0)
    """
    _check(logits, target)
    num_members, _, num_classes = logits.shape
    m2, m3, m4 = torch.cat([_power_means(e) for e in _residuals(logits)], dim=1)
    second, third, fourth = m2.mean(), m3.mean(), m4.mean()
    if not second > 0:
        raise ValueError(f"members must differ, got {num_members} with the same centred logits")
    g2, g3, g4 = (_shrinkage(num_members, r) * _shrinkage(num_classes, r) for r in (2, 3, 4))
    to_skewness = g2**1.5 / (g3 or torch.nan) / second**1.5
    to_kurtosis = g2**2 / g4 / second.square()
    empirical = _empirical_cdf(logits, second.sqrt().item())
    return LogitNoise(
        s_prime=_margins(logits, target),
        variance=(second / g2).item(),
        variance_error=_standard_error(m2 / g2),
        skewness=(to_skewness * third).item(),
        skewness_error=_standard_error(to_skewness * (m3 - 1.5 * third / second * m2)),
        excess_kurtosis=(to_kurtosis * (fourth - 3 * second.square())).item(),
        excess_kurtosis_error=_standard_error(to_kurtosis * (m4 - 2 * fourth / second * m2)),
        fits=_fit_distributions(empirical, num_members, num_classes, second.sqrt().item()),
        empirical_cdf=empirical,
    )


def _margins(
    logits: Float[Tensor, "members samples classes"], target: Int[Tensor, " samples"]
) -> Float[Tensor, " samples"]:
    mean = logits.mean(dim=0, dtype=torch.float64)
    label = mean.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return label - (mean.sum(dim=-1) - label) / (mean.shape[-1] - 1)


def _check(logits: Tensor, target: Tensor) -> None:
    enough = logits.ndim == 3 and all(
        n >= least for n, least in zip(logits.shape, (2, 1, 2), strict=True)
    )
    if not enough or target.shape != logits.shape[1:2]:
        raise ValueError(
            "logits must have axes (members, samples, classes) with at least 2 members and 2 "
            f"classes, target (samples), got {tuple(logits.shape)} and {tuple(target.shape)}"
        )
    outside = target[(target < 0) | (target >= logits.shape[-1])]
    if len(outside):
        raise ValueError(f"labels must lie in 0..{logits.shape[-1] - 1}, got {int(outside[0])}")
    bad = ~logits.isfinite().all(dim=-1).all(dim=-1)
    if bad.any():
        raise ValueError(f"logits must be finite, got NaN or inf in member {int(bad.nonzero()[0])}")


def _residuals(logits: Tensor) -> Iterator[Float[Tensor, "members block classes"]]:
    num_members, _, num_classes = logits.shape
    for block in logits.split(max(1, _BLOCK // (num_members * num_classes)), dim=1):
        centred = block.double() - block.double().mean(dim=0)
        yield centred - centred.mean(dim=-1, keepdim=True)


def _power_means(residual: Float[Tensor, "members block classes"]) -> Float[Tensor, "3 block"]:
    return torch.stack([(residual**r).mean(dim=(0, 2)) for r in (2, 3, 4)])


def _shrinkage(n: int, r: int) -> float:
    """g_r(n): the factor by which centring over n values shrinks the cumulant of order r."""
    return ((n - 1) ** r + (n - 1) * (-1) ** r) / n**r


def _standard_error(influence: Float[Tensor, " samples"]) -> float:
    """Standard error of a mean over samples; nan for a single sample."""
    centred = influence - influence.mean()
    return (centred.square().mean() / (len(influence) - 1 or torch.nan)).sqrt().item()


def _empirical_cdf(logits: Tensor, deviation: float) -> Float[Tensor, " edges"]:
    counts = torch.zeros(len(EDGES) + 1, dtype=torch.int64, device=logits.device)
    for residual in _residuals(logits):
        bins = torch.bucketize(residual / deviation, EDGES.to(logits.device))
        counts += torch.bincount(bins.flatten(), minlength=len(counts))
    return (counts.cumsum(dim=0)[:-1] / counts.sum().double()).cpu()


def _fit_distributions(
    empirical: Float[Tensor, " edges"], num_members: int, num_classes: int, deviation: float
) -> dict[str, DistributionFit]:
    fits = {}
    for noise in LOG_DENSITY:
        unit_deviation, cdf = _centred_distribution(noise, num_members, num_classes)
        distance = (empirical - cdf).abs().max().item()
        fits[noise] = DistributionFit(deviation / unit_deviation, distance, cdf)
    return fits


def _centred_distribution(
    noise: str, num_members: int, num_classes: int
) -> tuple[float, Float[Tensor, " edges"]]:
    """Standard deviation of e_mk for unit noise, and its distribution function in units of it."""
    v, log_weight = quadrature(noise, 1.0)
    weight = log_weight.exp()
    v = v - (weight * v).sum()
    variance = (weight * v.square()).sum().item()
    deviation = math.sqrt(variance * _shrinkage(num_members, 2) * _shrinkage(num_classes, 2))
    own, other = (1 - 1 / num_members, 1), (-1 / num_members, num_members - 1)
    characteristic = torch.ones_like(_FREQUENCIES, dtype=torch.complex128)
    for along_members, repeats in (own, other):
        for along_classes, times in ((1 - 1 / num_classes, 1), (-1 / num_classes, num_classes - 1)):
            phase = _FREQUENCIES * (along_members * along_classes / deviation)
            unit = (weight * torch.exp(1j * phase.unsqueeze(-1) * v)).sum(dim=-1)
            characteristic *= unit ** (repeats * times)
    wave = torch.exp(-1j * EDGES.unsqueeze(-1) * _FREQUENCIES)
    imaginary = ((wave * characteristic).imag / _FREQUENCIES).sum(dim=-1)
    return deviation, 0.5 - _STEP / math.pi * imaginary
