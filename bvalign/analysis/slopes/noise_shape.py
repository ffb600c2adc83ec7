"""Shape of the noise in the log odds: skewness and kurtosis pooled over samples, and distributions.

Symbols: L_m is member m's log odds of a wrong answer, log((1 - p_y) / p_y), in nats; mu and sd are
the mean and standard deviation of one sample's L over members. Nobody can estimate the shape of
(L - mu) / sd from the few members of one sample, but all samples together can:

    k-statistics    k_2, k_3, k_4 and an estimate of sd⁴ are unbiased for any M >= 4 (Fisher 1930),
                    so their means over samples are right however few members there are
    pooled shape    skewness = E k_3 / E sd³ and excess kurtosis = E k_4 / E sd⁴ within bands of mu,
                    which weigh alike
    trend           a straight line in mu through the bands, as noise differs with the margin

Two families turn a skewness and a kurtosis into a distribution, as values at normal scores:

    sinh_arcsinh    sinh((arcsinh x + e) / d) of a normal x (Jones & Pewsey 2009): tails between
                    normal and exponential
    log_f           log of an F variable, with exponential tails: the distribution of the log odds
                    if logits carry Gumbel noise; how much it moves a result tells how much hangs on
                    tails that no member has shown
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import beta, betaincinv, ndtr, polygamma
from torch import Tensor

from bvalign.analysis.slopes.quadrature import NODES, WEIGHTS, NoiseTable

BANDS, SAMPLES_PER_BAND = 8, 20
POINTS = 4
"""Points in mu between which the values at the nodes are interpolated."""

Tails = Literal["sinh_arcsinh", "log_f"]
Pair = Float[np.ndarray, "2"]

_X, _PHI = NODES.numpy(), WEIGHTS.numpy()


class CentralSums(NamedTuple):
    """Sums over the members of powers of L - mu, per sample."""

    second: Float[Tensor, " samples"]
    third: Float[Tensor, " samples"]
    fourth: Float[Tensor, " samples"]


class KStatistics(NamedTuple):
    """Unbiased estimates of the cumulants of L, and of the square of its variance; nats^2, 3, 4."""

    second: Float[Tensor, " samples"]
    third: Float[Tensor, " samples"]
    fourth: Float[Tensor, " samples"]
    second_squared: Float[Tensor, " samples"]


class NoiseShape(NamedTuple):
    """Skewness and excess kurtosis of the log odds, pooled, and in bands of mu."""

    skewness: float
    kurtosis: float
    centres: tuple[float, ...] = ()  # mean mu of each band, nats; none if the shape is assumed
    skewnesses: tuple[float, ...] = ()
    kurtoses: tuple[float, ...] = ()


GAUSSIAN = NoiseShape(0.0, 0.0)


def k_statistics(sums: CentralSums, count: int) -> KStatistics:
    """Unbiased estimates from the central sums of `count` >= 4 members.

    Raises:
        ValueError: there are fewer than four members.
    """
    if count < 4:
        raise ValueError(f"k-statistics of order four need four members, got {count}")
    second = sums.second / (count - 1)
    third = count * sums.third / ((count - 1) * (count - 2))
    fourth = (count * (count + 1) * sums.fourth - 3 * (count - 1) * sums.second.square()) / (
        (count - 1) * (count - 2) * (count - 3)
    )
    squared = (second.square() - fourth / count) * (count - 1) / (count + 1)
    return KStatistics(second, third, fourth, squared)


def pooled_shape(mu: Float[Tensor, " samples"], sums: CentralSums, count: int) -> NoiseShape:
    """Pools the shape of the noise over samples, as ratios of means within bands of mu.

    Args:
        mu: mean log odds of each sample, nats.
        sums: of the members' deviations from it.
        count: members behind the sums, at least four.
    """
    k = k_statistics(sums, count)
    bands = np.array_split(
        np.argsort(mu.numpy(), kind="stable"), min(BANDS, max(1, len(mu) // SAMPLES_PER_BAND))
    )
    second, third, fourth, squared = (
        np.array([values.numpy()[band].mean() for band in bands]) for values in k
    )
    squared = np.maximum(squared, 1e-3 * second**2)
    # E sd³ from E sd² and E sd⁴, as for a log-normal sd within the band
    cubed = np.exp(0.75 * np.log(squared) - 1.5 * np.maximum(np.log(squared / second**2) / 4, 0))
    skewness, kurtosis = third / cubed, fourth / squared
    centres = [float(mu.numpy()[band].mean()) for band in bands]
    return NoiseShape(
        float(skewness.mean()),
        float(kurtosis.mean()),
        tuple(centres),
        tuple(skewness.tolist()),
        tuple(kurtosis.tolist()),
    )


def noise_table(shapes: Sequence[NoiseShape], tails: Tails = "sinh_arcsinh") -> NoiseTable:
    """Distributions of those shapes: the same for all samples, or along straight lines in mu.

    Args:
        shapes: of each set of members; with four bands and more the lines through them count, else
            the pooled numbers.
        tails: family of the distributions.
    """
    ends, values = [], []
    for shape in shapes:
        points = np.linspace(-1.0, 1.0, POINTS)
        along = [(shape.skewness, shape.kurtosis)] * POINTS
        if len(shape.centres) >= 4:
            points = np.linspace(shape.centres[0], shape.centres[-1], POINTS)
            both = (shape.skewnesses, shape.kurtoses)
            lines = [np.polyfit(shape.centres, of_bands, 1) for of_bands in both]
            along = list(zip(*(np.polyval(line, points).tolist() for line in lines), strict=True))
        ends.append(points[[0, -1]])
        values.append(np.stack([noise_values(*numbers, tails) for numbers in along]))
    low, high = torch.from_numpy(np.stack(ends, axis=1))
    return NoiseTable(low, high, torch.from_numpy(np.stack(values)))


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
