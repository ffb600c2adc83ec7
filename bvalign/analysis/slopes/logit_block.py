"""The second pass of the population slope: values and sums of a range of samples."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
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
from bvalign.analysis.slopes.lines import LineSums, line_sums
from bvalign.analysis.slopes.logit_values import (
    LogErrors,
    errors,
    has_spread,
    log_values,
    odds_values,
)
from bvalign.analysis.slopes.noise_pooling import PooledNoise
from bvalign.analysis.slopes.quadrature import rare_share

NUM_TERMS = 5


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
    terms: Float[Tensor, "samples terms"]  # of the corrected sums, see `_terms`; zero likewise
    saturated: Int[Tensor, ""]  # correct samples with a probability of 0 or 1, or no spread
    without: LineSums  # without each group, at the shape of all members
    shared: SharedErrors  # without each group
    heavy: LineSums  # all members, with exponential tails
    one_class: LineSums  # all members, if those rarer than any seen err towards one class
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
    samples, whole = len(given.target), torch.ones(1, len(groups.members), dtype=torch.bool)
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
    x, y = log_values(odds, noise.table)
    error, usable = errors(odds, noise.table, len(given.odds)), odds.usable[0]
    rare = rare_share(odds.odds, noise.table, noise.score)
    # the variance that they carry counts twice: the label and one other class
    one_class = torch.log((1 - rare) * odds.variance_share.exp() + 2 * rare)
    one_class += y - odds.variance_share
    x_left, y_left = log_values(left, noise.table.repeated(len(groups.members)))
    terms = torch.zeros(samples, NUM_TERMS, dtype=torch.float64)
    terms[kept] = _terms(
        _summands(x, y, odds.usable, error),
        _summands(x_left, y_left, left.usable, _larger(error, groups)),
        groups,
    )

    def scattered(values: Tensor) -> Tensor:
        result = values.new_full((samples,), torch.nan)
        result[kept[usable]] = values[usable]
        return result

    return LogitBlock(
        scattered(x[0]),
        scattered(y[0]),
        LogErrors(*map(scattered, error)),
        terms,
        correct - usable.sum(),
        line_sums(x_left, y_left, left.usable),
        shared_errors(error, usable, left.usable),
        line_sums(*log_values(odds, noise.heavy), odds.usable),
        line_sums(x, one_class, odds.usable),
        torch.where(usable, rare[0], 0.0).sum(),
    )


def shared_errors(error: LogErrors, usable: Tensor, of_sets: Tensor) -> SharedErrors:
    """Sums over the samples that count as correct for all members and for each set."""
    both = of_sets & usable
    parts = (both.double(), *(torch.where(both, e, 0.0) for e in (error.bias_sq, error.covariance)))
    return SharedErrors(*(part.sum(dim=1) for part in parts))


def correction(groups: MemberGroups) -> float:
    """What the jackknife takes off per unit of mean change: the bias falls with 1/(M-1)."""
    members = sum(groups.sizes)
    left = members - members / len(groups.members)
    return (left - 1) / (members - left)


def _summands(
    x: Float[Tensor, "sets samples"],
    y: Float[Tensor, "sets samples"],
    usable: Bool[Tensor, "sets samples"],
    error: LogErrors,
) -> Float[Tensor, "sets samples terms"]:
    """What each sample adds to the sums behind slope and offset; zero where it is not correct."""
    parts = (torch.ones_like(x), x, y, x * x - error.bias_sq, x * y - error.covariance)
    return torch.where(usable.unsqueeze(-1), torch.stack(parts, dim=-1), 0.0)


def _terms(
    whole: Float[Tensor, "1 samples terms"],
    without: Float[Tensor, "groups samples terms"],
    groups: MemberGroups,
) -> Float[Tensor, "samples terms"]:
    """The same with the jackknife's correction, for the variance over samples of the result.

    Samples that are right with some members and wrong with others count by as much as they move.
    """
    return whole[0] + correction(groups) * (whole[0] - without.mean(dim=0))


def _larger(error: LogErrors, groups: MemberGroups) -> LogErrors:
    """Errors without each group of members."""
    members = sum(groups.sizes)
    grown = members / (members - torch.tensor(groups.sizes, dtype=torch.float64).unsqueeze(1))
    return LogErrors(*(grown * part for part in error))
