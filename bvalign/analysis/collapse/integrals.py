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

phi, k1 and k2 are tables over log u in steps of `STEP`; that of cu is the one of u moved by s'. So
margins that are multiples of `STEP` all share one table, and any other one needs a second.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from bvalign.analysis.collapse.noise_distributions import quadrature

STEP = 1 / 6
"""Of log u; error e^(-pi²/step) = e^-59, as integrands are analytic where |Im t| < pi/2."""


class Averages(NamedTuple):
    """Expectations over members, in the notation of the module docstring; float64."""

    wrong: Float[Tensor, "*points"]  # E a
    right: Float[Tensor, "*points"]  # E b
    variance: Float[Tensor, "*points"]  # Var a
    within: Float[Tensor, "*points"]  # F
    kl_risk: Float[Tensor, "*points"]  # E -log p_y, nats


def averages(
    margins: Float[Tensor, " points"], num_classes: int, noise: str, sigma: float
) -> Averages:
    """Integrals of the module docstring for each margin, by the trapezoid rule over t = log u.

    Args:
        margins: s', in nats.
        num_classes: K >= 2.
        noise: name of a distribution in `LOG_DENSITY`.
        sigma: its scale, nats.
    """
    n = num_classes - 1
    steps = (margins / STEP).round().int().tolist()
    offsets = [margin - STEP * step for margin, step in zip(margins.tolist(), steps, strict=True)]
    beyond = 40 * max(1.0, sigma) + 2 * sigma**2  # where integrands are 1e-17 of their peak
    below, above = (math.ceil(length / STEP) for length in (beyond + math.log(n), beyond))
    most = max(map(abs, steps), default=0)
    low, high = -below - most, above + most + 1
    # of the noise that can outweigh the margin and all classes
    reach = STEP * (most + 1) + math.log(n)
    grid = STEP * torch.arange(low, high, dtype=torch.float64)
    right = {offset: _tilted(grid + offset, noise, sigma, reach) for offset in set(offsets)}
    wrong = right.get(0.0) or _tilted(grid, noise, sigma, reach)
    rows = []
    for step, offset in zip(steps, offsets, strict=True):
        # log u from min(s', 0) - below to max(s', 0) + above, and log cu = log u - s'
        start, length = min(step, 0) - below - low, abs(step) + below + above + 1
        of_label = _Tilted(*(v[start : start + length] for v in right[offset]))
        of_others = _Tilted(*(v[start - step : start - step + length] for v in wrong))
        rows.append(_integrals(of_label, of_others, n))
    return Averages(*torch.tensor(rows, dtype=torch.float64).reshape(-1, 5).unbind(dim=1))


def _integrals(right: "_Tilted", wrong: "_Tilted", n: int) -> list[float]:
    """Fields of `Averages` for one margin."""
    laplace = STEP * (right.log_laplace + n * wrong.log_laplace).exp()

    def integral(integrand: Tensor) -> Tensor:
        return (laplace * integrand).sum()

    f, g = n * wrong.mean, right.mean
    within_wrong, within_right = n * integral(wrong.variance), integral(right.variance)
    ff, fg, gg = integral(f * f), integral(f * g), integral(g * g)
    angle = integral((f - fg / gg * g).square())
    log_loss = -right.log_laplace.exp() * torch.expm1(n * wrong.log_laplace)
    variance = within_wrong * (gg + within_right) + within_right * ff + gg * angle
    kl_risk = STEP * log_loss.sum()
    return [*map(float, (integral(f), integral(g), variance, within_wrong, kl_risk))]


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
