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
) -> Iterator[tuple[tuple[Tensor, Tensor], Tensor, Tensor]]:
    """Yields sets and samples, expit(mu + sd h) and h, for `CHUNK` of all pairs at a time."""
    sets, points, _ = table.values.shape
    low, high = table.low.unsqueeze(1), table.high.unsqueeze(1)
    place = ((odds.mu - low) / (high - low) * (points - 1)).clamp_(0, points - 1)
    left = place.long().clamp_(0, points - 2)
    right = place - left
    # the ends have unit variance, so that of the mixture is known
    overlap = (WEIGHTS * table.values[:, :-1] * table.values[:, 1:]).sum(dim=-1).gather(1, left)
    scale = (1 - 2 * (1 - right) * right * (1 - overlap)).sqrt_()
    weights = ((1 - right) / scale, right / scale)
    row, values = left + points * torch.arange(sets).unsqueeze(1), table.values.flatten(0, 1)
    columns = (row, *weights, odds.mu, odds.sd)
    pairs = torch.arange(row.numel()).split(CHUNK)
    for pair, at, *parts in zip(pairs, *(c.flatten().split(CHUNK) for c in columns), strict=True):
        of_left, of_right, mu, sd = (part.unsqueeze(1) for part in parts)
        h = values[at].mul_(of_left).addcmul_(values[at + 1], of_right)
        number = row.shape[1]
        yield (pair // number, pair % number), torch.addcmul(mu, sd, h).sigmoid_(), h
