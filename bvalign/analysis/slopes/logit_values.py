"""Population log bias_sq and log variance of each sample, as its members' log odds suggest them.

Symbols, for one sample that the members get right: a = 1 - p_y is the label entry of the residual,
L = log(a / (1 - a)) the log odds of a wrong answer, mu and sd its mean and deviation over members;
q_k, k != y, are the other entries, p_k. The logarithms of bias_sq and variance of few members are
biased, as rare members carry most of both; mu and sd are not, and a distribution of that mean,
standard deviation and pooled shape (`noise_shape.py`) has

    log bias_sq   = 2 log E a     + log(1 + sum_k (E q_k)² / (E a)²)
    log variance  =   log Var a   + log(1 + sum_k Var q_k / Var a)

with E a and Var a by quadrature and the second terms, the share of the other classes, from the
members as they are: the first is at most log 2, and both are log(K / (K-1)) at least.

Errors. With α = ∂/∂mu and β = (∂/∂sd) / (2 sd) of the two logarithms, x and y, and central sums
s_2, s_3, s_4 of L over M members, the covariance of the errors of x and y over members is

    C_xy = (α_x α_y s_2 + c_1 (α_x β_y + β_x α_y) s_3 + c_2 β_x β_y (s_4 - s_2² / M)) / (M (M-1))

and likewise C_xx and C_yy. c_1 = M/(M-2) makes them unbiased, c_2 = M²/((M-1)(M-2)) for normal L:
of an excess kurtosis it holds (M-2)/(M-1).
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bvalign.analysis.groups import SetValues
from bvalign.analysis.slopes.noise_shape import CentralSums
from bvalign.analysis.slopes.quadrature import LogOdds, NoiseTable, derivatives, expectations

LEAST_ODDS = -350.0
"""Nats. The square of a smaller probability is below the smallest float64."""


class LogErrors(NamedTuple):
    """Squared standard errors over members of two logarithms, and their covariance; float64."""

    bias_sq: Float[Tensor, "*sets samples"]
    variance: Float[Tensor, "*sets samples"]
    covariance: Float[Tensor, "*sets samples"]


class OddsValues(NamedTuple):
    """What the log odds of each set say of the samples where the slope can be asked for."""

    odds: LogOdds
    sums: CentralSums  # (sets, samples) each
    bias_share: Float[Tensor, "sets samples"]  # log(1 + sum_k (E q_k)² / (E a)²)
    variance_share: Float[Tensor, "sets samples"]  # log(1 + sum_k Var q_k / Var a)
    usable: Bool[Tensor, "sets samples"]  # the set gets the sample right


def has_spread(odds: Float[Tensor, "members samples"]) -> Bool[Tensor, " samples"]:
    """Tells where all log odds are finite and differ; not where a probability is exactly 0 or 1."""
    least, most = odds.amin(dim=0), odds.amax(dim=0)
    return (least > LEAST_ODDS) & (least < most) & (most < math.inf)


def odds_values(values: SetValues, centre: Float[Tensor, " samples"]) -> OddsValues:
    """Log odds of each set, on samples that `has_spread`.

    Args:
        values: of the sets.
        centre: mean log odds of all members, at which the sums are centred.
    """
    sums = values.sums
    m, (d1, d2, d3, d4) = sums.count, sums.powers.unbind(dim=-1)
    c = d1 / m
    second = d2 - m * c**2
    third = d3 - 3 * c * d2 + 2 * m * c**3
    fourth = d4 - 4 * c * d3 + 6 * c**2 * d2 - 3 * m * c**4
    sd = (second.clamp(min=1e-300) / (m - 1)).sqrt()
    # unbiased above and below the bar, from pairs of different members; where one member carries
    # everything, that difference is lost
    pairs = values.square_of_sum - sums.square
    at_label = values.label.square() - sums.square_at_label
    plug_in = values.square_of_sum / values.label.square()
    bias = torch.where(at_label > 0, pairs / at_label, plug_in)
    spread = sums.centred - values.shift / m
    spread_at_label = sums.centred_at_label - values.shift_at_label / m
    variance = torch.where(spread_at_label > 0, spread / spread_at_label, bias)
    return OddsValues(
        LogOdds(centre + c, sd),
        CentralSums(second, third, fourth),
        bias.clamp(1, 2).log(),
        variance.clamp(min=1).log(),
        values.correct,
    )


def log_values(
    values: OddsValues, table: NoiseTable
) -> tuple[Float[Tensor, "sets samples"], Float[Tensor, "sets samples"]]:
    """Population log bias_sq and log variance, natural logarithms.

    Args:
        values: of each set.
        table: distributions of the noise, one row per set.
    """
    mean, variance = expectations(values.odds, table)
    return 2 * mean.log() + values.bias_share, variance.log() + values.variance_share


def errors(values: OddsValues, table: NoiseTable, num_members: int) -> LogErrors:
    """Covariance of the errors over members of both logarithms, of a single set.

    Args:
        values: of all members.
        table: of all members.
        num_members: M >= 3.
    """
    mean, variance = (part[0] for part in expectations(values.odds, table))
    by = [part[0] for part in derivatives(values.odds, table)]
    s2, s3, s4 = (part[0] for part in values.sums)
    m, twice_sd = num_members, 2 * values.odds.sd[0]
    alpha = (2 * by[0] / mean, by[2] / variance)
    beta = (2 * by[1] / mean / twice_sd, by[3] / variance / twice_sd)
    c1, c2 = m / (m - 2), m**2 / ((m - 1) * (m - 2))

    def covariance(i: int, j: int) -> Tensor:
        crossed = alpha[i] * beta[j] + beta[i] * alpha[j]
        quartic = beta[i] * beta[j] * (s4 - s2.square() / m)
        return (alpha[i] * alpha[j] * s2 + c1 * crossed * s3 + c2 * quartic) / (m * (m - 1))

    return LogErrors(covariance(0, 0), covariance(1, 1), covariance(0, 1))
