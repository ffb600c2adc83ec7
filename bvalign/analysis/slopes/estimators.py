"""Estimators of the slope of log variance on log squared bias, over correct samples.

All logarithms are natural. Definitions and errors:

ols             least squares of log variance on log bias_sq, plug-in values, as in Chen et al.
                (2024). Both axes share the members' errors, which pulls the slope towards one,
                and the finite-M ceiling variance <= (M-1) bias_sq bends the cloud.
ols_unbiased    the same on unbiased values; the logarithm is still taken of noisy numbers.
reversed        1 / slope of log bias_sq on log variance, plug-in values: blames all scatter on
                the variance, so it lies above ols by the factor 1 / R².
orthogonal      the line of least perpendicular distance, plug-in values; between the two.
corrected       least squares on unbiased values, moments reduced by the mean squared errors and
                covariance of the two logarithms, by delete-one jackknife. Ignores the bias of a
                logarithm.
slope_one       the slope held at one: offset = mean(log variance - log bias_sq) and the spread
                around it; the claim "variance = C bias_sq" itself.
cross_half      the one to quote, in `cross_half.py`.
split_half      instrument: cov(log variance of B, log bias_sq of A) / cov(log bias_sq of B, log
                bias_sq of A) for disjoint halves A and B, correct by A; numerators and
                denominators averaged over splits and both roles. The halves' errors are
                independent, but their means may depend on the sample: it is the slope for M/2.

In simulations with Gaussian noise (experiments/estimators) cross_half is off by +0.014 on average,
corrected by +0.027, split_half by +0.032, the others by +0.04 to +0.07, mostly towards one.
Nothing identifies the population slope where members' probabilities are heavy-tailed: there every
ensemble of practical size shows a slope near one. A slope that drifts with the number of members is
the warning sign.

A new estimator is a function and its entry in ESTIMATORS; see `Estimator` for its fields.
"""

from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor

from bvalign.analysis.slopes.cross_half import cross_half
from bvalign.analysis.slopes.estimator import Estimator
from bvalign.analysis.slopes.lines import (
    Cloud,
    Numbers,
    ReplicateWeights,
    average,
    cloud,
    covariance,
    log_log_cloud,
    mean,
)
from bvalign.analysis.slopes.member_subsets import MemberSubset
from bvalign.analysis.slopes.subset_values import SubsetValues


def ols(values: SubsetValues, subset: MemberSubset, replicate_weights: ReplicateWeights) -> Numbers:
    """Least squares on plug-in values of the correct samples."""
    return _average_line(Cloud.least_squares, values, subset, replicate_weights)


def reversed_ols(
    values: SubsetValues, subset: MemberSubset, replicate_weights: ReplicateWeights
) -> Numbers:
    """1 / slope of log bias_sq on log variance, on plug-in values of the correct samples."""
    return _average_line(Cloud.reversed, values, subset, replicate_weights)


def orthogonal(
    values: SubsetValues, subset: MemberSubset, replicate_weights: ReplicateWeights
) -> Numbers:
    """Line of least perpendicular distance, on plug-in values of the correct samples."""
    return _average_line(Cloud.orthogonal, values, subset, replicate_weights)


def ols_unbiased(
    values: SubsetValues, subset: MemberSubset, replicate_weights: ReplicateWeights
) -> Numbers:
    """Least squares on unbiased values of the correct samples."""
    lines = []
    for row, judge in subset.clouds:
        x, y, _, kept = _unbiased_logs(values, row, judge, replicate_weights)
        moments = cloud(x, y, kept)
        lines.append(moments.line(moments.least_squares()))
    return average(lines)


def corrected(
    values: SubsetValues, subset: MemberSubset, replicate_weights: ReplicateWeights
) -> Numbers:
    """Least squares on unbiased values, less the moments of the members' errors."""
    lines = []
    for row, judge in subset.clouds:
        x, y, keep, kept = _unbiased_logs(values, row, judge, replicate_weights)
        moments, errors = cloud(x, y, kept), values.errors(row)
        error_xx, error_xy = (mean(e[keep], kept) for e in (errors.bias_sq, errors.covariance))
        lines.append(moments.line(moments.corrected(error_xx, error_xy)))
    return average([{k: line[k] for k in ("slope", "intercept")} for line in lines])


def slope_one(
    values: SubsetValues, subset: MemberSubset, replicate_weights: ReplicateWeights
) -> Numbers:
    """Offset and spread of log variance - log bias_sq, on plug-in values of correct samples."""
    parts = []
    for row, judge in subset.clouds:
        bias_sq, variance = values.bias_sq(row), values.variance(row)
        keep = values.correct[judge] & (variance > 0)
        difference, log_variance = (variance[keep] / bias_sq[keep]).log(), variance[keep].log()
        moments = cloud(difference, log_variance, replicate_weights[:, keep])
        spread, r_squared = moments.xx.sqrt(), 1 - moments.xx / moments.yy
        parts.append({"offset": moments.x, "spread": spread, "r_squared": r_squared})
    return average(parts)


def split_half(
    values: SubsetValues, subset: MemberSubset, replicate_weights: ReplicateWeights
) -> Numbers:
    """Line of one half of the members, with log bias_sq of the other as the instrument."""
    above, below, means_x, means_y = [], [], [], []
    for half in subset.halves:
        for instrument, measure in permutations(half):
            x, y, keep, kept = _unbiased_logs(values, measure, instrument, replicate_weights)
            by = values.bias_sq_unbiased[instrument, keep].log()
            above.append(covariance(y, by, kept))
            below.append(covariance(x, by, kept))
            means_x.append(mean(x, kept))
            means_y.append(mean(y, kept))
    total = [torch.stack(terms).nanmean(dim=0) for terms in (above, below, means_x, means_y)]
    slope = total[0] / total[1]
    return {"slope": slope, "intercept": total[3] - slope * total[2]}


def quoted_estimators() -> tuple[str, ...]:
    """Names of the estimators whose slope is printed by commands and logged to W&B."""
    return tuple(name for name, estimator in ESTIMATORS.items() if estimator.quoted)


def _average_line(
    slope: Callable[[Cloud], Tensor],
    values: SubsetValues,
    subset: MemberSubset,
    replicate_weights: ReplicateWeights,
) -> Numbers:
    lines = []
    for row, judge in subset.clouds:
        bias_sq, variance = values.bias_sq(row), values.variance(row)
        moments = log_log_cloud(bias_sq, variance, values.correct[judge], replicate_weights)
        lines.append(moments.line(slope(moments)))
    return average(lines)


def _unbiased_logs(
    values: SubsetValues, row: int, judge: int, replicate_weights: ReplicateWeights
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logs of unbiased bias_sq and variance where they exist and `judge` is correct.

    Returns:
        log bias_sq, log variance, the samples kept, and their replicate weights.
    """
    bias_sq, variance = values.bias_sq_unbiased[row], values.variance_unbiased[row]
    positive = (bias_sq > 0) & (variance > 0) & (values.bias_sq_unbiased[judge] > 0)
    keep = torch.nonzero(values.correct[judge] & positive).flatten()
    return bias_sq[keep].log(), variance[keep].log(), keep, replicate_weights.index_select(1, keep)


ESTIMATORS: dict[str, Estimator] = {
    estimator.name: estimator
    for estimator in (
        Estimator(
            "cross_half",
            cross_half,
            ("slope", "intercept"),
            "cross-half: bins, means and correctness from three separate groups of members; the "
            "one to quote",
            parts="thirds",
            least_members=6,
            least_members_as="three groups of two",
            least_samples=30,
            quoted=True,
            plotted=True,
        ),
        Estimator(
            "split_half",
            split_half,
            ("slope", "intercept"),
            "split-half: one half of the members is the instrument for the line of the other; the "
            "slope of half as many members, pulled towards one",
            parts="halves",
            least_members=4,
            least_members_as="two halves of two",
            plotted=True,
        ),
        Estimator(
            "ols",
            ols,
            ("slope", "intercept", "r_squared"),
            "OLS on plug-in values, as in the paper: pulled towards one by the finite ensemble",
            quoted=True,
            plotted=True,
        ),
        Estimator(
            "ols_unbiased",
            ols_unbiased,
            ("slope", "intercept", "r_squared"),
            "OLS on unbiased values: less pulled, but logs of noisy numbers",
            plotted=True,
        ),
        Estimator(
            "corrected",
            corrected,
            ("slope", "intercept"),
            "OLS on unbiased values less the estimated errors of both axes; blind to the mean "
            "error of a logarithm",
            least_members=3,
            least_members_as="two when one is left out",
        ),
        Estimator(
            "reversed",
            reversed_ols,
            ("slope", "intercept", "r_squared"),
            "1 / OLS of log squared bias on log variance, plug-in: an upper end, as it blames all "
            "scatter on the variance",
        ),
        Estimator(
            "orthogonal",
            orthogonal,
            ("slope", "intercept", "r_squared"),
            "least perpendicular distance, plug-in: between OLS and reversed, right only for "
            "independent errors of equal size",
        ),
        Estimator(
            "slope_one",
            slope_one,
            ("offset", "spread", "r_squared"),
            "slope held at one: the offset and the spread around it; says nothing of other slopes",
        ),
    )
}
