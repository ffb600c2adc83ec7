"""Sums of the population slope over one range of samples, for every set of members."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.groups import (
    MemberGroups,
    MemberSums,
    Residuals,
    is_correct,
    leave_one_out,
    of_samples,
    unite,
)
from bvalign.analysis.slopes.lines import LineSums, line_sums
from bvalign.analysis.slopes.logit_values import (
    LogErrors,
    SetOdds,
    errors,
    has_spread,
    log_values,
    set_odds,
    wrong_class_shares,
)
from bvalign.analysis.slopes.noise_pooling import PooledNoise
from bvalign.analysis.slopes.quadrature import NoiseTable, rare_share


class SharedErrors(NamedTuple):
    """Sums of the errors of all members, over samples that they and a set both get right."""

    count: Float[Tensor, " sets"]
    xx: Float[Tensor, " sets"]
    xy: Float[Tensor, " sets"]


class LogitBlock(NamedTuple):
    """Values of all members per sample, and sums for the other sets; ranges add up."""

    log_bias_sq: Float[Tensor, " samples"]  # NaN where it is not in the fit, natural log
    log_variance: Float[Tensor, " samples"]
    errors: LogErrors
    saturated: Int[Tensor, ""]  # correct samples with a probability of 0 or 1, or no spread
    own: LineSums  # without each group, each with its own shape of the noise
    fixed: LineSums  # without each group, with the shape of all members
    without: SharedErrors  # of the sets without each group
    smaller: LineSums  # of the smaller ensembles, on the drawn samples
    smaller_errors: SharedErrors
    heavy: LineSums  # all members, with exponential tails
    rare: Float[Tensor, ""]  # sum of the shares of members rarer than any seen


def logit_block(
    given: Residuals,
    by_group: MemberSums,
    groups: MemberGroups,
    noise: PooledNoise,
    drawn: Int[Tensor, " drawn"],
) -> LogitBlock:
    """Computes the values and sums of a range.

    Args:
        given: residuals of all members.
        by_group: sums over each group.
        groups: of the members.
        noise: shapes of the first pass.
        drawn: drawn samples, counted from the start of the range.
    """
    samples = len(given.target)
    kept = torch.nonzero(has_spread(given.odds)).flatten()
    is_drawn = torch.zeros(samples, dtype=torch.bool)
    is_drawn[drawn] = True
    some = _Part(given, of_samples(by_group, kept), kept, noise.table)
    number, whole = len(groups.members), torch.ones(1, len(groups.members), dtype=torch.bool)
    everyone = unite(some.by_group, whole)
    x, y, odds = some.values(everyone, torch.zeros(1, dtype=torch.int64))
    error = errors(odds, noise.table, len(given.odds))
    usable = odds.usable[0]
    left, sets = leave_one_out(some.by_group), torch.arange(1, number + 1)
    own = some.values(left, sets)
    fixed = some.values(left, torch.zeros_like(sets))
    few = _Part(
        given, of_samples(by_group, kept[is_drawn[kept]]), kept[is_drawn[kept]], noise.table
    )
    smaller = few.values(
        unite(few.by_group, groups.smaller), torch.arange(number + 1, len(noise.table.low))
    )
    drawn_too = is_drawn[kept]
    heavy = log_values(odds.odds, noise.heavy, wrong_class_shares(everyone, some.mean, some.target))
    rare = rare_share(odds.odds, noise.table, noise.score)
    right = is_correct(unite(by_group.odds, whole), given.target)[0]

    def scattered(values: Tensor) -> Tensor:
        result = values.new_full((samples,), torch.nan)
        result[kept[usable]] = values[usable]
        return result

    return LogitBlock(
        scattered(x[0]),
        scattered(y[0]),
        LogErrors(*map(scattered, error)),
        right.sum() - usable.sum(),
        line_sums(*own[:2], own[2].usable),
        line_sums(*fixed[:2], fixed[2].usable),
        _shared(error, usable, own[2]),
        line_sums(*smaller[:2], smaller[2].usable),
        _shared(LogErrors(*(e[drawn_too] for e in error)), usable[drawn_too], smaller[2]),
        line_sums(*heavy, odds.usable),
        torch.where(usable, rare, 0.0).sum(),
    )


class _Part:
    """Some samples of a range, whose values are asked for several sets of members."""

    def __init__(
        self, given: Residuals, by_group: MemberSums, rows: Int[Tensor, " rows"], table: NoiseTable
    ) -> None:
        self.by_group, self.table = by_group, table
        self.target = given.target[rows]
        self.mean = given.magnitude[:, rows].mean(dim=0)
        self.centre = given.odds[:, rows].mean(dim=0)

    def values(
        self, sums: MemberSums, rows: Int[Tensor, " sets"]
    ) -> tuple[Float[Tensor, "sets samples"], Float[Tensor, "sets samples"], SetOdds]:
        """Log bias_sq and log variance of sets, each with a row of the table; and their odds."""
        odds = set_odds(sums.odds, self.centre, self.target)
        shares = wrong_class_shares(sums, self.mean, self.target)
        return *log_values(odds.odds, self.table.of_sets(rows), shares), odds


def _shared(error: LogErrors, usable: Tensor, of_sets: SetOdds) -> SharedErrors:
    both = of_sets.usable & usable
    parts = (both.double(), *(torch.where(both, e, 0.0) for e in (error.bias_sq, error.covariance)))
    return SharedErrors(*(part.sum(dim=1) for part in parts))
