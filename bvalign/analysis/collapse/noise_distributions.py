"""Four distributions of logit noise v = sigma x, to integrate against and to draw from.

    name          standard density of x      v is                      P(e^v > u) for large u
    gumbel        exp(x - e^x)               sigma log Exp(1)          exp(-u^(1/sigma))
    gumbel_max    exp(-x - e^-x)             -sigma log Exp(1)         ~ u^(-1/sigma)
    gaussian      exp(-x²/2) / sqrt(2 pi)    N(0, sigma²)              log-normal
    logistic      e^-x / (1 + e^-x)²         sigma log(U / (1 - U))    ~ u^(-1/sigma)

sigma is the scale of each distribution, in nats, and the standard deviation of the Gaussian only.
"gumbel" has the sign for which the neural-collapse model has a closed form: -v is a Gumbel maximum.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

LOG_DENSITY: dict[str, Callable[[Tensor], Tensor]] = {
    "gumbel": lambda x: x - x.exp(),
    "gumbel_max": lambda x: -x - (-x).exp(),
    "gaussian": lambda x: -x.square() / 2,
    "logistic": lambda x: logsigmoid(x) + logsigmoid(-x),
}
"""Log of each standard density, up to a constant."""

_STEP = 1 / 6  # error e^(-pi²/step) = e^-59 for integrands analytic where |Im x| < pi/2
_NEGLIGIBLE = -45.0  # e^-45 = 3e-20


def check_distribution(noise: str, sigma: float) -> None:
    """Checks that `noise` names a distribution and `sigma` can be its scale.

    Raises:
        ValueError: `noise` names none, or sigma is not positive and finite.
    """
    if noise not in LOG_DENSITY:
        raise ValueError(f"noise must be one of {', '.join(LOG_DENSITY)}, got {noise!r}")
    if not 0 < sigma < float("inf"):
        raise ValueError(f"sigma must be positive and finite, got {sigma}")


def quadrature(
    noise: str, sigma: float, *, reach: float = 0.0
) -> tuple[Float[Tensor, " nodes"], Float[Tensor, " nodes"]]:
    """Equispaced values of v and the logs of their quadrature weights, which sum to one.

    The trapezoid rule is exact to rounding for integrands analytic in a strip around the real
    line (Trefethen and Weideman 2014), such as density times exp(-u e^v) or exp(i theta x). Nodes
    reach as far as density times e^(2|v|) matters, up to |v| = reach + 45 sigma. float64.

    Args:
        noise: name of a distribution in `LOG_DENSITY`.
        sigma: its scale, nats.
        reach: largest |v|, in nats, at which the integrand can peak.

    >>> v, log_weight = quadrature("gaussian", 2.0)
    >>> round((log_weight.exp() * v.square()).sum().item(), 12)          # the variance, sigma²
    4.0
    """
    step, limit = _STEP / max(1.0, sigma), -_NEGLIGIBLE + reach / sigma
    x = step * torch.arange(-int(limit / step), int(limit / step) + 1, dtype=torch.float64)
    log_density = LOG_DENSITY[noise](x)
    kept = log_density + 2 * sigma * x.abs() > _NEGLIGIBLE
    return sigma * x[kept], log_density[kept].log_softmax(dim=0)


def draw_noise(
    shape: tuple[int, ...], noise: str = "gumbel", *, sigma: float = 1.0, generator: torch.Generator
) -> Float[Tensor, "*shape"]:
    """Draws independent float64 values of v, in nats, on the device of the generator.

    Raises:
        ValueError: `noise` names no distribution, or sigma is not positive and finite.
    """
    check_distribution(noise, sigma)
    empty = torch.empty(shape, dtype=torch.float64, device=generator.device)
    if noise == "gaussian":
        return empty.normal_(generator=generator).mul_(sigma)
    gumbel = empty.exponential_(generator=generator).log_()
    if noise == "logistic":
        gumbel -= torch.empty_like(gumbel).exponential_(generator=generator).log_()
    return gumbel.mul_(-sigma if noise == "gumbel_max" else sigma)
