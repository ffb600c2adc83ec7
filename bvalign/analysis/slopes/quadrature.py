"""Mean and variance of a label entry 1 - p_y whose log odds are mu + sd eps, by quadrature.

eps has a standardised distribution (mean zero, variance one), given by its values h at normal
scores: eps = h(score). With f = expit(mu + sd eps):

    mean = E f    variance = E (f - E f)²

The rule is the trapezoidal one in the normal score, which converges exponentially for these smooth
integrands. The nodes reach further up than down, as large f carry the variance. Between two points
in mu, h is interpolated, scaled to unit variance.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

STEP = 0.4
NODES = torch.arange(-20, 36, dtype=torch.float64) * STEP
"""Normal scores, from -8 to 14."""
WEIGHTS = (-NODES.square() / 2).exp() / (-NODES.square() / 2).exp().sum()
"""Weights of the nodes; they add up to one."""

CHUNK = 1024
"""Samples at a time: their values at all nodes, half a megabyte, stay in the cache."""


class NoiseTable(NamedTuple):
    """Values of eps at the nodes, for each set of members at equally spaced points in mu."""

    low: Float[Tensor, " sets"]  # first point, nats
    high: Float[Tensor, " sets"]  # last point
    values: Float[Tensor, "sets points nodes"]

    def repeated(self, number: int) -> "NoiseTable":
        """The table of one set, for several."""
        return NoiseTable(*(part.expand(number, *part.shape[1:]) for part in self))


class Expectations(NamedTuple):
    """Mean and variance of the label entry; probability and its square."""

    mean: Float[Tensor, "sets samples"]
    variance: Float[Tensor, "sets samples"]


class Derivatives(NamedTuple):
    """Derivatives of `Expectations` by mu and sd."""

    mean_by_mu: Float[Tensor, "sets samples"]
    mean_by_sd: Float[Tensor, "sets samples"]
    variance_by_mu: Float[Tensor, "sets samples"]
    variance_by_sd: Float[Tensor, "sets samples"]


class LogOdds(NamedTuple):
    """Mean and standard deviation over members of the log odds of a wrong answer, nats."""

    mu: Float[Tensor, "sets samples"]
    sd: Float[Tensor, "sets samples"]


def expectations(odds: LogOdds, table: NoiseTable) -> Expectations:
    """Computes mean and variance of expit(mu + sd eps).

    Args:
        odds: of each set and sample.
        table: distributions of eps, one row per set.
    """
    result = odds.mu.new_empty(2, *odds.mu.shape)
    for at, f, _ in _pieces(odds, table):
        mean = f @ WEIGHTS
        result[0][at] = mean
        result[1][at] = (f.sub_(mean.unsqueeze(1))).square_() @ WEIGHTS
    return Expectations(*result)


def derivatives(odds: LogOdds, table: NoiseTable) -> Derivatives:
    """Computes the derivatives of both expectations; arguments as before."""
    result = odds.mu.new_empty(4, *odds.mu.shape)
    for at, f, h in _pieces(odds, table):
        slope = f * (1 - f)
        result[0][at] = slope @ WEIGHTS
        result[1][at] = (slope * h) @ WEIGHTS
        slope *= 2 * (f - (f @ WEIGHTS).unsqueeze(1))
        result[2][at] = slope @ WEIGHTS
        result[3][at] = (slope * h) @ WEIGHTS
    return Derivatives(*result)


def rare_share(odds: LogOdds, table: NoiseTable, score: float) -> Float[Tensor, "sets samples"]:
    """Fraction of E f² that comes from members beyond a normal score, which are rarer than it."""
    result, beyond = torch.empty_like(odds.mu), score < NODES
    for at, f, _ in _pieces(odds, table):
        terms = f.square_().mul_(WEIGHTS)
        result[at] = terms[:, beyond].sum(dim=1) / terms.sum(dim=1)
    return result


def _pieces(
    odds: LogOdds, table: NoiseTable
) -> Iterator[tuple[tuple[int, Tensor], Tensor, Tensor]]:
    """Yields set and rows, expit(mu + sd h) and h, for samples between the same two points."""
    last = table.values.shape[1] - 1
    for number, (mu, sd) in enumerate(zip(odds.mu, odds.sd, strict=True)):
        low, high = table.low[number], table.high[number]
        place = ((mu - low) / (high - low) * last).clamp(0, last)
        left = place.long().clamp(max=last - 1)
        for point in range(last):
            ends = table.values[number, point : point + 2]
            overlap = (WEIGHTS * ends[0] * ends[1]).sum()
            for rows in torch.nonzero(left == point).flatten().split(CHUNK):
                if not len(rows):
                    continue
                right = place[rows] - point
                parts = torch.stack([1 - right, right], dim=1)
                # the ends have unit variance, so that of the mixture is known
                parts /= (1 - 2 * parts[:, 0] * right * (1 - overlap)).sqrt_().unsqueeze(1)
                h = parts @ ends
                f = torch.addcmul(mu[rows].unsqueeze(1), sd[rows].unsqueeze(1), h).sigmoid_()
                yield (number, rows), f, h
