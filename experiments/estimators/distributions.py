"""Standard distributions of logit noise: random draws, and nodes to integrate against.

    gaussian     N(0, 1)
    laplace      density exp(-|x|) / 2
    logistic     density e^-x / (1 + e^-x)²
    gumbel       log Exp(1): the long tail is on the left
    gumbel_max   -log Exp(1): the long tail is on the right, exponential
    t5, t8       Student's t, tails x^-6 and x^-9
    skew         skew-normal of shape 5, shifted and scaled to mean 0 and variance 1
    uniform      on ±sqrt(3), variance 1

`nodes` gives values x and weights that sum to one; sum(weights f(x)) is E f(x) for f that changes
slowly between nodes, such as exp(-u e^(sigma x)) for any u. Nothing here is taken from bvalign,
which the study is to judge.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch

Nodes = tuple[np.ndarray, np.ndarray]

SKEW = 5.0
_DELTA = SKEW / np.sqrt(1 + SKEW**2)
_SKEW_MEAN = _DELTA * np.sqrt(2 / np.pi)
_SKEW_SD = np.sqrt(1 - _SKEW_MEAN**2)


def _draw_skew(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    half = np.abs(rng.standard_normal(shape))
    half *= _DELTA
    half += np.sqrt(1 - _DELTA**2) * rng.standard_normal(shape)
    return (half - _SKEW_MEAN) / _SKEW_SD


def _skew_log_density(x: np.ndarray) -> np.ndarray:
    raw = torch.from_numpy(x * _SKEW_SD + _SKEW_MEAN)
    return (-raw.square() / 2 + torch.special.log_ndtr(SKEW * raw)).numpy()


DRAW: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "gaussian": lambda rng, shape: rng.standard_normal(shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "logistic": lambda rng, shape: rng.logistic(size=shape),
    "gumbel": lambda rng, shape: np.log(rng.exponential(size=shape)),
    "gumbel_max": lambda rng, shape: -np.log(rng.exponential(size=shape)),
    "t5": lambda rng, shape: rng.standard_t(5, size=shape),
    "t8": lambda rng, shape: rng.standard_t(8, size=shape),
    "skew": _draw_skew,
    "uniform": lambda rng, shape: rng.uniform(-np.sqrt(3), np.sqrt(3), shape),
}
"""Name -> independent draws of that shape."""

_LOG_DENSITY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gaussian": lambda x: -x * x / 2,
    "laplace": lambda x: -np.abs(x),
    "logistic": lambda x: -np.abs(x) - 2 * np.log1p(np.exp(-np.abs(x))),
    "gumbel": lambda x: x - np.exp(x),
    "gumbel_max": lambda x: -x - np.exp(-x),
    "t5": lambda x: -3 * np.log1p(x * x / 5),
    "t8": lambda x: -4.5 * np.log1p(x * x / 8),
    "skew": _skew_log_density,
}
_STEP = 1 / 8  # Gaussian-like densities: trapezoid, error e^(-pi² / (step sigma))
_REACH = 13.0  # standard deviations, density 1e-37
_NEGLIGIBLE = 1e-22


@cache
def nodes(name: str, refinement: float = 1.0) -> Nodes:
    """Values and weights of a distribution.

    Args:
        name: one of `DRAW`.
        refinement: number of nodes, as a multiple of those that suffice.
    """
    if name == "uniform":
        x, weights = np.polynomial.legendre.leggauss(round(64 * refinement))
        return np.sqrt(3) * x, weights / 2
    if name in ("gaussian", "skew"):
        step = _STEP / refinement
        x = step * np.arange(-round(_REACH / step), round(_REACH / step) + 1)
        weights = np.exp(_LOG_DENSITY[name](x))
        return x, weights / weights.sum()
    # dense around the peak, which may be a kink, and far into the tails: x = width sinh(t)
    width, far = (0.5, 400.0) if name in ("t5", "t8") else (0.02, 60.0)
    t = np.linspace(-np.arcsinh(far / width), np.arcsinh(far / width), round(2000 * refinement) + 1)
    x = width * np.sinh(t)
    weights = np.exp(_LOG_DENSITY[name](np.clip(x, -700, 700))) * width * np.cosh(t)
    weights /= weights.sum()
    kept = weights > _NEGLIGIBLE
    return x[kept], weights[kept] / weights[kept].sum()
