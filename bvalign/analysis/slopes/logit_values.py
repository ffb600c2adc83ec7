"""Population log bias_sq and log variance of each sample, as its members' log odds suggest them.

Symbols, for one sample that the members get right: a = 1 - p_y is the label entry of the residual,
L = log(a / (1 - a)) the log odds of a wrong answer, mu and sd its mean and deviation over
members; q_k, k != y, are the other entries, p_k. The logarithms of bias_sq and variance of few
members are biased, as rare members carry most of both; mu and sd are not, and a distribution of
that mean, standard deviation and pooled shape (`noise_shape.py`) has

    log bias_sq   = 2 log E a     + log(1 + sum_k (E q_k)² / (E a)²)
    log variance  =   log Var a   + log(1 + sum_k Var q_k / Var a)

with E a and Var a by quadrature and the second terms, between 1/(K-1) and 1 before the logarithm,
from the members as they are.

Errors. With α = ∂/∂mu and β = (∂/∂sd) / (2 sd) of the two logarithms, x and y, and central sums
s_2, s_3, s_4 of L over M members, the covariance of the errors of x and y over members is

    C_xy = (α_x α_y s_2 + c_1 (α_x β_y + β_x α_y) s_3 + c_2 β_x β_y (s_4 - s_2² / M)) / (M (M-1))

and likewise C_xx and C_yy; c_1 = M/(M-2) and c_2 = M²/((M-1)(M-2)) make them unbiased.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.groups import MemberSums, OddsSums, is_correct
from bvalign.analysis.slopes.noise_shape import CentralSums
from bvalign.analysis.slopes.quadrature import LogOdds, NoiseTable, derivatives, expectations


class LogErrors(NamedTuple):
    """Squared standard errors over members of two logarithms, and their covariance; float64."""

    bias_sq: Float[Tensor, " samples"]
    variance: Float[Tensor, " samples"]
    covariance: Float[Tensor, " samples"]


class SetOdds(NamedTuple):
    """Log odds of each set of members on the samples where the slope can be asked for."""

    odds: LogOdds  # flat: (sets samples)
    sums: CentralSums  # (sets, samples) each
    usable: Bool[Tensor, "sets samples"]  # the set gets the sample right


def has_spread(odds: Float[Tensor, "members samples"]) -> Bool[Tensor, " samples"]:
    """Tells where all log odds are finite and differ; not where a probability is exactly 0 or 1."""
    return odds.isfinite().all(dim=0) & (odds.amax(dim=0) > odds.amin(dim=0))


def set_odds(
    sums: OddsSums, centre: Float[Tensor, " samples"], target: Int[Tensor, " samples"]
) -> SetOdds:
    """Mean and standard deviation of the log odds, of each set.

    Args:
        sums: of each set, of samples that `has_spread`.
        centre: mean log odds of all members, at which the sums are centred.
        target: class ids.
    """
    m, (d1, d2, d3, d4) = sums.count, sums.powers.unbind(dim=-1)
    c = d1 / m
    second = d2 - m * c**2
    third = d3 - 3 * c * d2 + 2 * m * c**3
    fourth = d4 - 4 * c * d3 + 6 * c**2 * d2 - 3 * m * c**4
    sd = (second.clamp(min=1e-300) / (m - 1)).sqrt()
    number, samples = c.shape
    sets = torch.arange(number).repeat_interleave(samples)
    odds = LogOdds((centre + c).flatten(), sd.flatten(), sets)
    return SetOdds(odds, CentralSums(second, third, fourth), is_correct(sums, target))


def log_values(
    odds: LogOdds,
    table: NoiseTable,
    shares: tuple[Float[Tensor, "sets samples"], Float[Tensor, "sets samples"]],
) -> tuple[Float[Tensor, "sets samples"], Float[Tensor, "sets samples"]]:
    """Population log bias_sq and log variance, natural logarithms.

    Args:
        odds: of each set and sample, flat.
        table: distributions of the noise, one row per set.
        shares: the result of `wrong_class_shares`.
    """
    mean, variance = (part.reshape(shares[0].shape) for part in expectations(odds, table))
    return 2 * mean.log() + shares[0], variance.log() + shares[1]


def wrong_class_shares(
    sums: MemberSums, mean: Float[Tensor, "samples classes"], target: Int[Tensor, " samples"]
) -> tuple[Float[Tensor, "sets samples"], Float[Tensor, "sets samples"]]:
    """Logs of bias_sq / (E a)² and variance / Var a: the part of the other classes.

    That of bias_sq is unbiased above and below the bar, from pairs of different members.

    Args:
        sums: of the sets.
        mean: the mean magnitude of all members.
        target: class ids.
    """
    count, magnitude, _ = sums.odds
    at = target.expand(magnitude.shape[:2]).unsqueeze(-1)
    label = magnitude.gather(-1, at).squeeze(-1)
    squares = magnitude.square().sum(dim=-1)
    pairs, pairs_at_label = squares - sums.square, label.square() - sums.square_at_label
    # where one member carries everything, the difference is lost: the plug-in ratio
    bias = torch.where(pairs_at_label > 0, pairs / pairs_at_label, squares / label.square())
    shift = torch.addcmul(magnitude, count.unsqueeze(-1), mean, value=-1)
    at_label = shift.gather(-1, at).squeeze(-1).square() / count
    spread = sums.centred - shift.square_().sum(dim=-1) / count
    spread_at_label = sums.centred_at_label - at_label
    variance = torch.where(spread_at_label > 0, spread / spread_at_label, bias)
    return bias.clamp(1, 2).log(), variance.clamp(min=1).log()


def errors(set_odds: SetOdds, table: NoiseTable, num_members: int) -> LogErrors:
    """Covariance of the errors over members of both logarithms, of a single set.

    Args:
        set_odds: of all members.
        table: of all members.
        num_members: M >= 3.
    """
    (mean, variance), by = expectations(set_odds.odds, table), derivatives(set_odds.odds, table)
    s2, s3, s4 = (part.squeeze(0) for part in set_odds.sums)
    m, twice_sd = num_members, 2 * set_odds.odds.sd
    alpha = (2 * by.mean_by_mu / mean, by.variance_by_mu / variance)
    beta = (2 * by.mean_by_sd / mean / twice_sd, by.variance_by_sd / variance / twice_sd)
    c1, c2 = m / (m - 2), m**2 / ((m - 1) * (m - 2))

    def covariance(i: int, j: int) -> Tensor:
        crossed = alpha[i] * beta[j] + beta[i] * alpha[j]
        quartic = beta[i] * beta[j] * (s4 - s2.square() / m)
        return (alpha[i] * alpha[j] * s2 + c1 * crossed * s3 + c2 * quartic) / (m * (m - 1))

    return LogErrors(covariance(0, 0), covariance(1, 1), covariance(0, 1))
