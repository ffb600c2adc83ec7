"""Distributions of a given skewness and kurtosis, as values at the nodes of the quadrature.

sinh_arcsinh    sinh((arcsinh x + e) / d) of a normal x (Jones & Pewsey 2009): tails between
normal and exponential
log_f           log of an F variable, with exponential tails: the distribution of the log odds
if logits carry Gumbel noise; how much it moves a result tells how much hangs on
tails that no member has shown
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import beta, betaincinv, ndtr, polygamma

from bvalign.analysis.slopes.quadrature import NODES, WEIGHTS, NoiseTable

Tails = Literal["sinh_arcsinh", "log_f"]
Pair = Float[np.ndarray, "2"]

_X, _PHI = NODES.numpy(), WEIGHTS.numpy()


def noise_table(
    points: Float[np.ndarray, " points"],
    lines: Float[np.ndarray, "points 2"],
    tails: Tails = "sinh_arcsinh",
) -> NoiseTable:
    """Table of one set of members.

    Args:
        points: equally spaced mean log odds, nats.
        lines: skewness and excess kurtosis there.
        tails: family of the distributions.
    """
    values = np.stack([noise_values(float(a), float(b), tails) for a, b in lines])
    ends = torch.from_numpy(np.array(points, dtype=np.float64)[[0, -1]])
    return NoiseTable(ends[:1], ends[1:], torch.from_numpy(values).unsqueeze(0))


@lru_cache(maxsize=512)
def noise_values(
    skewness: float, kurtosis: float, tails: Tails = "sinh_arcsinh"
) -> Float[np.ndarray, " nodes"]:
    """Values of the standardised distribution at the nodes; the nearest in the family.

    Args:
        skewness: of eps.
        kurtosis: excess kurtosis of eps.
        tails: family; "log_f" is the other one where there is no kurtosis to speak of.
    """
    if tails == "log_f" and kurtosis >= 0.01:
        kurtosis = min(kurtosis, 5.0)
        goal, weight = np.array([skewness, kurtosis]), np.array([1, 0.5])
        start = np.full(2, -np.log(kurtosis))
        return _log_f(*np.exp(_fit(_log_f_shape, start, goal, (-2.5, 7.0), weight, 0.5)))
    goal = np.array([np.clip(skewness, -1.2, 1.2), np.clip(kurtosis, -0.9, 4.0)])
    ends = np.array([-1.5, -0.8]), np.array([1.5, 0.6])
    return _sinh_arcsinh(
        *_fit(_sinh_arcsinh_shape, np.zeros(2), goal, ends, np.array([1, 0.5]), 0.2)
    )


def _standardised(values: np.ndarray) -> np.ndarray:
    values = values - values @ _PHI
    return values / np.sqrt((values * values) @ _PHI)


def _sinh_arcsinh(shift: float, log_scale: float) -> np.ndarray:
    return _standardised(np.sinh((np.arcsinh(_X) + shift) / np.exp(log_scale)))


def _sinh_arcsinh_shape(parameters: Pair) -> Pair:
    values = _sinh_arcsinh(*parameters)
    return np.array([values**3 @ _PHI, values**4 @ _PHI - 3])


def _log_f(p: float, q: float) -> np.ndarray:
    """Log of a beta variable over its complement, at the quantiles of the nodes."""
    low, values = _X <= 0, np.empty_like(_X)
    b = _beta_quantile(p, q, ndtr(_X[low]))
    values[low] = np.log(np.maximum(b, 1e-300)) - np.log1p(-b)
    b = _beta_quantile(q, p, ndtr(-_X[~low]))
    values[~low] = np.log1p(-b) - np.log(np.maximum(b, 1e-300))
    return _standardised(values)


def _log_f_shape(parameters: Pair) -> Pair:
    p, q = np.exp(parameters)
    variance = polygamma(1, p) + polygamma(1, q)
    skewness = (polygamma(2, p) - polygamma(2, q)) / variance**1.5
    return np.array([skewness, (polygamma(3, p) + polygamma(3, q)) / variance**2])


def _beta_quantile(p: float, q: float, u: np.ndarray) -> np.ndarray:
    b = betaincinv(p, q, u)
    lost = np.isnan(b)  # SciPy at some u < 1e-15; there the leading term is exact to rounding
    b[lost] = (u[lost] * p * beta(p, q)) ** (1 / p)
    return b


def _fit(
    shape: Callable[[Pair], Pair],
    start: Pair,
    goal: Pair,
    ends: tuple[float | Pair, float | Pair],
    weight: Pair,
    longest: float,
) -> Pair:
    """Damped Gauss-Newton of weighted squares between bounds; the nearest shape there is."""
    at, damping = np.array(start, dtype=float), 1e-6
    error = (shape(at) - goal) * weight
    for _ in range(60):
        columns = [((shape(at + d) - goal) * weight - error) / 1e-5 for d in np.eye(2) * 1e-5]
        jacobian = np.stack(columns, 1)
        step = -np.linalg.solve(jacobian.T @ jacobian + damping * np.eye(2), jacobian.T @ error)
        step *= min(1, longest / max(abs(step).max(), 1e-12))
        trial = np.clip(at + step, *ends)
        trial_error = (shape(trial) - goal) * weight
        if trial_error @ trial_error <= error @ error:
            done = abs(trial - at).max() < 1e-7
            at, error, damping = trial, trial_error, max(damping / 5, 1e-9)
        else:
            damping *= 10
            done = damping > 1e3
        if done:
            break
    return at
