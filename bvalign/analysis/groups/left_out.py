"""Statistics of each sample with one group of members left out, and what members add to a mean.

With t_ig the statistic of sample i without group g of G, the mean over samples without g is
T_g = mean_i t_ig, and the delete-a-group jackknife estimates, for a mean over N samples,

    members   (G-1)/G sum_g (T_g - mean T)²               what other members would have changed
    both      1/N² sum_i (G-1)/G sum_g (t_ig - mean t_i)²  the part of it that samples do not share

`both` is part of the spread over samples as well, so that it counts once in the sum of the two
(Efron & Stein 1981; Owen 2007 for two-way data). Where samples come in clusters it is still that of
single samples, which leaves intervals a little too wide.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import (
    LabelNoise,
    SoftLabels,
    error_kinds,
    expected_error,
    expected_log,
    noise_of,
)
from bvalign.analysis.groups.member_sums import LossSums, SetValues

Sets = Float[Tensor, "groups samples"]


class Statistics(NamedTuple):
    """Per-sample statistics of several sets of members, under their names in samples.csv.

    `hard` and `soft` ones are those of the disagreement equality, of votes and of probabilities.
    """

    correct: Sets
    bias_sq: Sets
    variance: Sets
    risk: Sets
    bias_sq_unbiased: Sets
    variance_unbiased: Sets
    kl_risk: Sets
    kl_bias: Sets
    kl_variance: Sets
    kl_bias_jackknife: Sets  # Tukey's variance of a jackknifed value is that of the plain one
    kl_variance_jackknife: Sets
    error_rate: Sets
    bias_01: Sets
    variance_01: Sets
    net_variance_01: Sets
    disagreement: Sets
    gap: Sets
    uncertainty: Sets
    calibration_residual: Sets
    gap_unbiased: Sets
    calibration_residual_unbiased: Sets
    hard_plug_in: Sets
    hard_difference: Sets
    hard_difference_plug_in: Sets
    soft_error: Sets
    soft_disagreement: Sets
    soft_plug_in: Sets
    soft_difference: Sets
    soft_difference_plug_in: Sets
    systematic: Sets
    chance: Sets


OF_GROUPS = ("error_rate", "correct", "risk", "variance_unbiased", "systematic", "chance")
"""Statistics that are compared between groups of samples."""


class LeftOut(NamedTuple):
    """Sums over samples of each statistic of `left_out`; blocks add up."""

    total: Float[Tensor, "statistics groups"]  # without each group
    both: Float[Tensor, " statistics"]  # of the jackknife variance of a single sample


def left_out(
    values: SetValues,
    sums: LossSums,
    target: Int[Tensor, " samples"],
    labels: SoftLabels | None = None,
) -> Statistics:
    """Statistics of each sample for each set of members.

    Args:
        values: of all members without each group.
        sums: of the same sets.
        target: class ids.
        labels: soft labels whose most probable classes they are; None for class ids.
    """
    m, bias_sq, variance = values.sums.count, values.bias_sq, values.variance
    at, log_probs = target.expand(bias_sq.shape).unsqueeze(-1), sums.log_probs / m.unsqueeze(-1)
    variance_unbiased, uncertainty = variance * m / (m - 1), sums.uncertainty / m
    (noise, kl_noise), kl_risk, soft_error = _against(labels, values, log_probs, at)
    gap = noise + bias_sq - variance
    kl_variance = -log_probs.logsumexp(dim=-1)
    kl_bias = kl_risk - kl_noise - kl_variance
    error = 1 - sums.votes.gather(-1, at).squeeze(-1) / m
    votes, main = sums.votes.max(dim=-1)
    kinds = error_kinds(values.correct, main != target, votes / m, error)
    bias_01 = (main != target).double()
    plug_in = 1 - sums.votes.square().sum(dim=-1) / m.square()
    return Statistics(
        correct=values.correct.double(),
        bias_sq=bias_sq,
        variance=variance,
        risk=noise + bias_sq + variance,
        bias_sq_unbiased=bias_sq - variance_unbiased / m,
        variance_unbiased=variance_unbiased,
        kl_risk=kl_risk,
        kl_bias=kl_bias,
        kl_variance=kl_variance,
        kl_bias_jackknife=kl_bias,
        kl_variance_jackknife=kl_variance,
        error_rate=error,
        bias_01=bias_01,
        variance_01=1 - votes / m,
        net_variance_01=error - bias_01,
        disagreement=plug_in * m / (m - 1),
        gap=gap,
        uncertainty=uncertainty,
        calibration_residual=gap - uncertainty,
        gap_unbiased=gap - 2 * variance_unbiased / m,
        calibration_residual_unbiased=gap - uncertainty - 2 * variance_unbiased / m,
        hard_plug_in=plug_in,
        hard_difference=error - plug_in * m / (m - 1),
        hard_difference_plug_in=error - plug_in,
        soft_error=soft_error,
        soft_disagreement=uncertainty + variance_unbiased,
        soft_plug_in=uncertainty + variance,
        soft_difference=soft_error - uncertainty - variance_unbiased,
        soft_difference_plug_in=soft_error - uncertainty - variance,
        **{kind: is_such.double() for kind, is_such in kinds._asdict().items()},
    )


def _against(
    labels: SoftLabels | None,
    values: SetValues,
    log_probs: Float[Tensor, "groups samples classes"],
    at: Int[Tensor, "groups samples 1"],
) -> tuple[LabelNoise | tuple[float, float], Sets, Sets]:
    """Noise, the mean of -log p_m and 1 - the mean probability: of the labels, or of class ids."""
    m = values.sums.count
    if labels is None:
        return (0.0, 0.0), -log_probs.gather(-1, at).squeeze(-1), values.label / m
    error = expected_error(values.sums.magnitude / m.unsqueeze(-1), labels)
    return noise_of(labels), -expected_log(log_probs, labels), error


def left_out_sums(statistics: tuple) -> LeftOut:
    """Sums over the samples of each field of a NamedTuple like `Statistics`."""
    return LeftOut(
        torch.stack([values.sum(dim=1) for values in statistics]),
        torch.stack([left_out_variance(values).sum() for values in statistics]),
    )


def left_out_variance(values: Float[Tensor, "groups ..."]) -> Float[Tensor, "..."]:
    """Delete-a-group jackknife: (G-1)/G times the sum of squared deviations over groups.

    >>> left_out_variance(torch.tensor([1.0, 2.0, 3.0])).item()  # 2/3 of two
    1.3333333730697632
    """
    number = len(values)
    return (values - values.mean(dim=0)).square().sum(dim=0) * (number - 1) / number
