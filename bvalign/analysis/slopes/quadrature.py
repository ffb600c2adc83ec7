"""Mean and variance of a label entry 1 - p_y whose log odds are mu + sd eps, by quadrature.

eps has a standardised distribution (mean zero, variance one), given by its values h at normal
scores: eps = h(score). With f = expit(mu + sd eps):

    mean = E f    variance = E (f - E f)²

The rule is the trapezoidal one in the normal score, which converges exponentially for these smooth
integrands. The nodes reach further up than down, as large f carry the variance.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
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

    def at(
        self, mu: Float[Tensor, " samples"], sets: Int[Tensor, " samples"]
    ) -> Float[Tensor, "samples nodes"]:
        """Interpolates between the points, to unit variance; constant beyond the ends.

        Args:
            mu: mean log odds, nats.
            sets: the set of members that each of them belongs to.
        """
        last = self.values.shape[1] - 1
        low, high = self.low[sets], self.high[sets]
        place = ((mu - low) / (high - low) * last).clamp(0, last)
        left = place.long().clamp(max=last - 1)
        values = torch.lerp(
            self.values[sets, left], self.values[sets, left + 1], (place - left).unsqueeze(1)
        )
        return values.div_((values.square() @ WEIGHTS).sqrt_().unsqueeze(1))

    def of_sets(self, sets: Int[Tensor, " some"]) -> "NoiseTable":
        """The tables of some sets, in a given order; a set may occur several times."""
        return NoiseTable(*(part[sets] for part in self))


class Expectations(NamedTuple):
    """Mean and variance of the label entry, one per sample; probability and its square."""

    mean: Float[Tensor, " samples"]
    variance: Float[Tensor, " samples"]


class Derivatives(NamedTuple):
    """Derivatives of `Expectations`, one per sample."""

    mean_by_mu: Float[Tensor, " samples"]
    mean_by_sd: Float[Tensor, " samples"]
    variance_by_mu: Float[Tensor, " samples"]
    variance_by_sd: Float[Tensor, " samples"]


class LogOdds(NamedTuple):
    """Mean and standard deviation of the log odds over members, and whose members these are."""

    mu: Float[Tensor, " samples"]  # nats
    sd: Float[Tensor, " samples"]  # nats
    sets: Int[Tensor, " samples"]  # rows of a `NoiseTable`


def expectations(odds: LogOdds, table: NoiseTable) -> Expectations:
    """Computes mean and variance of expit(mu + sd eps).

    Args:
        odds: of each sample.
        table: distributions of eps.
    """
    result = odds.mu.new_empty(2, len(odds.mu))
    for rows, f, _ in _chunks(odds, table):
        mean = f @ WEIGHTS
        result[0, rows] = mean
        result[1, rows] = (f - mean.unsqueeze(1)).square_() @ WEIGHTS
    return Expectations(*result)


def derivatives(odds: LogOdds, table: NoiseTable) -> Derivatives:
    """Computes the derivatives of both expectations by mu and by sd; arguments as before."""
    result = odds.mu.new_empty(4, len(odds.mu))
    for rows, f, h in _chunks(odds, table):
        slope = f * (1 - f)
        result[0, rows] = slope @ WEIGHTS
        result[1, rows] = (slope * h) @ WEIGHTS
        slope *= 2 * (f - (f @ WEIGHTS).unsqueeze(1))
        result[2, rows] = slope @ WEIGHTS
        result[3, rows] = (slope * h) @ WEIGHTS
    return Derivatives(*result)


def rare_share(odds: LogOdds, table: NoiseTable, score: float) -> Float[Tensor, " samples"]:
    """Fraction of E f² that comes from members beyond a normal score, which are rarer than it."""
    result, beyond = torch.empty_like(odds.mu), score < NODES
    for rows, f, _ in _chunks(odds, table):
        terms = f.square_().mul_(WEIGHTS)
        result[rows] = terms[:, beyond].sum(dim=1) / terms.sum(dim=1)
    return result


def _chunks(odds: LogOdds, table: NoiseTable) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yields rows, expit(mu + sd h) and h of some samples at a time."""
    for start in range(0, len(odds.mu), CHUNK):
        rows = slice(start, start + CHUNK)
        mu, sd, sets = (part[rows] for part in odds)
        h = table.at(mu, sets)
        yield rows, torch.addcmul(mu.unsqueeze(1), sd.unsqueeze(1), h).sigmoid_(), h
