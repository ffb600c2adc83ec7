"""Moments of the probability at the label, for logits s' e_y + v with v iid over classes.

Symbols, for K classes:
    n = K - 1,  c = exp(-s')         wrong classes, and how far they lie below the label
    A_k = exp(v_k)                   iid;  X = A_y + c sum_{j != y} A_j
    a = 1 - p_y,  b = p_y = A_y / X  residual and probability at the label;  p_j = c A_j / X
    phi(u) = E exp(-uA)              Laplace transform;  L(u) = E exp(-uX) = phi(u) phi(cu)^n
    k1(u), k2(u)                     mean and variance of uA, its distribution tilted by exp(-uA)

As 1/X = int e^(-uX) du and 1/X² = int u e^(-uX) du, every moment is one integral over t = log u.
With f = n k1(cu), g = k1(u), F = n int L k2(cu), G = int L k2(u), all positive:
    E a = int L f        E a² = int L f² + F        E ab = int L f g
    E b = int L g        E b² = int L g² + G        E sum_{j != y} (p_j - a/n)² = (n-1)/n F
    E -log p_y = int phi(u) [1 - phi(cu)^n]                                (Frullani's integral)
and, as a + b = 1,
    Var a = E a² E b² - (E ab)² = F E b² + G int L f² + int L g² int L (f - rho g)²
with rho = int L f g / int L g²: positive terms only, whereas E a² - (E a)² would lose all digits as
a -> 0, a -> 1 or sigma -> 0. The integrands are analytic around the real line, so the trapezoid
rule is exact to rounding.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from bvalign.analysis.collapse.noise_distributions import quadrature

_STEP = 1 / 6  # error e^(-pi²/step) = e^-59, as integrands are analytic where |Im t| < pi/2


class Averages(NamedTuple):
    """Expectations over members, in the notation of the module docstring; float64."""

    wrong: Float[Tensor, "*points"]  # E a
    right: Float[Tensor, "*points"]  # E b
    variance: Float[Tensor, "*points"]  # Var a
    within: Float[Tensor, "*points"]  # F
    kl_risk: Float[Tensor, "*points"]  # E -log p_y, nats


def averages(margin: float, num_classes: int, noise: str, sigma: float) -> Averages:
    """Integrals of the module docstring for one margin, by the trapezoid rule over t = log u.

    Args:
        margin: s', in nats.
        num_classes: K >= 2.
        noise: name of a distribution in `LOG_DENSITY`.
        sigma: its scale, nats.
    """
    n = num_classes - 1
    beyond = 40 * max(1.0, sigma) + 2 * sigma**2  # where integrands are 1e-17 of their peak
    low, high = min(0.0, margin) - beyond - math.log(n), max(0.0, margin) + beyond
    t = torch.arange(low, high, _STEP, dtype=torch.float64)
    reach = abs(margin) + math.log(n)  # of the noise that can outweigh the margin and all classes
    right, wrong = _tilted(t, noise, sigma, reach), _tilted(t - margin, noise, sigma, reach)
    laplace = _STEP * (right.log_laplace + n * wrong.log_laplace).exp()

    def integral(integrand: Tensor) -> Tensor:
        return (laplace * integrand).sum()

    f, g = n * wrong.mean, right.mean
    within_wrong, within_right = n * integral(wrong.variance), integral(right.variance)
    ff, fg, gg = integral(f * f), integral(f * g), integral(g * g)
    angle = integral((f - fg / gg * g).square())
    log_loss = -right.log_laplace.exp() * torch.expm1(n * wrong.log_laplace)
    return Averages(
        wrong=integral(f),
        right=integral(g),
        variance=within_wrong * (gg + within_right) + within_right * ff + gg * angle,
        within=within_wrong,
        kl_risk=_STEP * log_loss.sum(),
    )


class _Tilted(NamedTuple):
    log_laplace: Float[Tensor, " grid"]  # log phi(u)
    mean: Float[Tensor, " grid"]  # k1(u)
    variance: Float[Tensor, " grid"]  # k2(u)


def _tilted(log_u: Float[Tensor, " grid"], noise: str, sigma: float, reach: float) -> _Tilted:
    if noise == "gumbel" and sigma == 1:  # A ~ Exp(1), phi(u) = 1 / (1 + u)
        mean = log_u.sigmoid()
        return _Tilted(logsigmoid(-log_u), mean, mean.square())
    v, log_weight = quadrature(noise, sigma, reach=reach)
    exponent = (log_u.unsqueeze(-1) + v).clamp(max=300.0).exp()  # uA, its square still finite
    log_tilted = log_weight - exponent
    missing = -(log_weight.exp() * torch.expm1(-exponent)).sum(dim=-1)  # 1 - phi(u)
    log_laplace = torch.where(
        missing < 0.5, torch.log1p(-missing.clamp(max=0.5)), log_tilted.logsumexp(dim=-1)
    )
    tilt = log_tilted.softmax(dim=-1)
    mean = (tilt * exponent).sum(dim=-1)
    variance = (tilt * (exponent - mean.unsqueeze(-1)).square()).sum(dim=-1)
    return _Tilted(log_laplace, mean, variance)
