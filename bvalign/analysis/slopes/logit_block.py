"""The second pass of the population slope: values and sums of a range of samples."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.groups import (
    MemberGroups,
    MemberSums,
    Residuals,
    SetValues,
    leave_one_out,
    member_sums,
    of_samples,
    set_values,
    unite,
)
from bvalign.analysis.slopes.drawn import PooledNoise
from bvalign.analysis.slopes.lines import LineSums, line_sums
from bvalign.analysis.slopes.logit_values import (
    LogErrors,
    errors,
    has_spread,
    log_values,
    odds_values,
)
from bvalign.analysis.slopes.quadrature import rare_share


class SharedErrors(NamedTuple):
    """Sums of the errors of all members, over samples that they and a set both get right."""

    count: Float[Tensor, " sets"]
    xx: Float[Tensor, " sets"]
    xy: Float[Tensor, " sets"]


class LogitBlock(NamedTuple):
    """Values of all members per sample, and sums without each group; ranges add up."""

    log_bias_sq: Float[Tensor, " samples"]  # NaN where it is not in the fit, natural log
    log_variance: Float[Tensor, " samples"]
    errors: LogErrors
    saturated: Int[Tensor, ""]  # correct samples with a probability of 0 or 1, or no spread
    own: LineSums  # without each group, each with its own shape of the noise
    fixed: LineSums  # without each group, with the shape of all members
    shared: SharedErrors  # without each group
    heavy: LineSums  # all members, with exponential tails
    rare: Float[Tensor, ""]  # sum of the shares of members rarer than any seen


def logit_block(
    given: Residuals,
    by_group: MemberSums,
    without: SetValues,
    groups: MemberGroups,
    noise: PooledNoise,
) -> LogitBlock:
    """Computes the values and sums of a range.

    Args:
        given: residuals of all members.
        by_group: sums over each group.
        without: values of all members without each group.
        groups: of the members.
        noise: shapes of the first pass.
    """
    number, samples = len(groups.members), len(given.target)
    whole = torch.ones(1, number, dtype=torch.bool)
    everyone = set_values(unite(by_group, whole), given)
    correct = int(everyone.correct.sum())
    kept = torch.nonzero(has_spread(given.odds)).flatten()
    if len(kept) < samples:
        given = of_samples(given, kept)
        by_group = member_sums(given, groups)
        everyone = set_values(unite(by_group, whole), given)
        without = set_values(leave_one_out(by_group), given)
    centre = given.odds.mean(dim=0)
    odds, left = odds_values(everyone, centre), odds_values(without, centre)
    first = torch.zeros(number, dtype=torch.int64)
    own = first + 1 + torch.arange(number)
    x, y = log_values(odds, noise.table.of_sets(first[:1]))
    error = errors(odds, noise.table.of_sets(first[:1]), len(given.odds))
    usable = odds.usable[0]
    rare = rare_share(odds.odds, noise.table.of_sets(first[:1]), noise.score)[0]

    def scattered(values: Tensor) -> Tensor:
        result = values.new_full((samples,), torch.nan)
        result[kept[usable]] = values[usable]
        return result

    return LogitBlock(
        scattered(x[0]),
        scattered(y[0]),
        LogErrors(*map(scattered, error)),
        correct - usable.sum(),
        line_sums(*log_values(left, noise.table.of_sets(own)), left.usable),
        line_sums(*log_values(left, noise.table.of_sets(first)), left.usable),
        shared_errors(error, usable, left.usable),
        line_sums(*log_values(odds, noise.heavy), odds.usable),
        torch.where(usable, rare, 0.0).sum(),
    )


def shared_errors(error: LogErrors, usable: Tensor, of_sets: Tensor) -> SharedErrors:
    """Sums over the samples that count as correct for all members and for each set."""
    both = of_sets & usable
    parts = (both.double(), *(torch.where(both, e, 0.0) for e in (error.bias_sq, error.covariance)))
    return SharedErrors(*(part.sum(dim=1) for part in parts))
