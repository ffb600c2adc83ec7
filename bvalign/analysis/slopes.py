"""Estimators of the slope of log variance on log squared bias, over correct samples.

All logarithms are natural. How each one errs:

ols             least squares of log variance on log bias_sq, plug-in values, as in Chen et al.
                (2024). Both axes share the members' errors, which pulls the slope towards one,
                and the finite-M ceiling variance <= (M-1) bias_sq bends the cloud.
ols_unbiased    the same on unbiased values; the logarithm is still taken of noisy numbers.
reversed        1 / slope of log bias_sq on log variance, plug-in values: blames all scatter on
                the variance, so it lies above ols by the factor 1 / R².
orthogonal      the line of least perpendicular distance, plug-in values; between the two.
corrected       least squares on unbiased values less the mean squared errors and covariance of the
                two logarithms, by delete-one jackknife. Blind to the mean error of a logarithm.
slope_one       the slope held at one: offset = mean(log variance - log bias_sq) and the spread
                around it; the claim "variance = C bias_sq" itself.
cross_half      the one to quote. Members are split into three groups: A sorts the samples into
                bins, B gives the mean unbiased bias_sq and variance of each bin, C decides which
                samples count as correct; the logarithm is taken of bin means. No group's errors
                meet another's, so the members' noise cannot make a line. Averaged over random
                splits and over the six ways to give three groups their roles.
split_half      instrument: cov(log variance of B, log bias_sq of A) / cov(log bias_sq of B, log
                bias_sq of A) for disjoint halves A and B, correct by A; numerators and
                denominators averaged over splits and both roles. The halves' errors are
                independent, but their means may depend on the sample: it is the slope for M/2.

In simulations (experiments/estimators) cross_half is off by +0.014 on average where noise is
Gaussian, corrected by +0.027, split_half by +0.032, the others by +0.04 to +0.07, most of it
towards one.
Nothing identifies the population slope where members' probabilities are heavy-tailed: there every
ensemble of practical size shows a slope near one. A drift of the slope over the number of members
is the warning.

Every estimator takes weights (replicates, samples) and returns one number per replicate, so that
the estimate (weights one) and its bootstrap replicates are one call.
"""

from collections.abc import Callable
from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from bvalign.analysis.lines import Cloud, Columns, cloud, covariance, mean
from bvalign.analysis.subsets import SubsetValues

NUM_BINS = 30

Weights = Float[Tensor, "replicates samples"]


class Draw(NamedTuple):
    """A set of members and its parts, as rows of a table of subsets."""

    whole: int
    clouds: tuple[tuple[int, int], ...]  # (members that give a cloud, those that judge it)
    thirds: tuple[tuple[int, int, int], ...] = ()
    halves: tuple[tuple[int, int], ...] = ()


def ols(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """Least squares on plug-in values of the correct samples."""
    return _average_line(Cloud.least_squares, values, draw, weights)


def reversed_ols(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """1 / slope of log bias_sq on log variance, plug-in values of the correct samples."""
    return _average_line(Cloud.reversed, values, draw, weights)


def orthogonal(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """Least perpendicular distance, plug-in values of the correct samples."""
    return _average_line(Cloud.orthogonal, values, draw, weights)


def ols_unbiased(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """Least squares on unbiased values of the correct samples."""
    lines = []
    for row, judge in draw.clouds:
        x, y, _, kept = _unbiased_logs(values, row, judge, weights)
        moments = cloud(x, y, kept)
        lines.append(moments.line(moments.least_squares()))
    return _average(lines)


def corrected(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """Least squares on unbiased values, freed of the moments of the members' errors."""
    lines = []
    for row, judge in draw.clouds:
        x, y, keep, kept = _unbiased_logs(values, row, judge, weights)
        moments, errors = cloud(x, y, kept), values.errors(row)
        error_xx, error_xy = (mean(e[keep], kept) for e in (errors.bias_sq, errors.covariance))
        lines.append(moments.line(moments.corrected(error_xx, error_xy)))
    return _average([{k: line[k] for k in ("slope", "intercept")} for line in lines])


def slope_one(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """Offset and spread of log variance - log bias_sq, plug-in values of the correct samples."""
    parts = []
    for row, judge in draw.clouds:
        bias_sq, variance = values.bias_sq(row), values.variance(row)
        keep = values.correct[judge] & (variance > 0)
        difference, log_variance = (variance[keep] / bias_sq[keep]).log(), variance[keep].log()
        moments = cloud(difference, log_variance, weights[:, keep])
        spread, r_squared = moments.xx.sqrt(), 1 - moments.xx / moments.yy
        parts.append({"offset": moments.x, "spread": spread, "r_squared": r_squared})
    return _average(parts)


def cross_half(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """Slope through the logs of bin means, with bins, means and correctness from three groups."""
    return _average(
        [
            _binned_line(values, sort, measure, judge, weights)
            for split in draw.thirds
            for sort, measure, judge in permutations(split)
        ]
    )


def split_half(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """One half's log bias_sq as the instrument for the other half's line."""
    above, below, means_x, means_y = [], [], [], []
    for half in draw.halves:
        for instrument, measure in permutations(half):
            x, y, keep, kept = _unbiased_logs(values, measure, instrument, weights)
            by = values.bias_sq_unbiased[instrument, keep].log()
            above.append(covariance(y, by, kept))
            below.append(covariance(x, by, kept))
            means_x.append(mean(x, kept))
            means_y.append(mean(y, kept))
    total = [torch.stack(terms).nanmean(dim=0) for terms in (above, below, means_x, means_y)]
    slope = total[0] / total[1]
    return {"slope": slope, "intercept": total[3] - slope * total[2]}


ESTIMATORS: dict[str, Callable[[SubsetValues, Draw, Weights], Columns]] = {
    "cross_half": cross_half,
    "split_half": split_half,
    "ols": ols,
    "ols_unbiased": ols_unbiased,
    "corrected": corrected,
    "reversed": reversed_ols,
    "orthogonal": orthogonal,
    "slope_one": slope_one,
}
NUMBERS = {
    "cross_half": ("slope", "intercept"),
    "split_half": ("slope", "intercept"),
    "ols": ("slope", "intercept", "r_squared"),
    "ols_unbiased": ("slope", "intercept", "r_squared"),
    "corrected": ("slope", "intercept"),
    "reversed": ("slope", "intercept", "r_squared"),
    "orthogonal": ("slope", "intercept", "r_squared"),
    "slope_one": ("offset", "spread", "r_squared"),
}


def too_small(name: str, values: SubsetValues, draw: Draw) -> str | None:
    """Why an estimator is undefined for this draw, or None."""
    num_members = int(values.size[draw.whole])
    row, judge = draw.clouds[0]
    if num_members < 2 or values.size[row] < 2:
        return "needs two members, as one has no variance"
    if name == "cross_half" and not draw.thirds:
        return f"needs 6 members, three groups of two; there are {num_members}"
    if name == "split_half" and not draw.halves:
        return f"needs 4 members, two halves of two; there are {num_members}"
    if name == "corrected" and values.size[row] < 3:
        return f"needs 3 members, two when one is left out; there are {int(values.size[row])}"
    needed = 30 if name == "cross_half" else 3
    usable = int((values.correct[judge] & (values.variance_unbiased[row] > 0)).sum())
    if usable < needed:
        return f"needs {needed} correct samples with variance above zero; there are {usable}"
    return None


def _average(fits: list[Columns]) -> Columns:
    return {key: torch.stack([fit[key] for fit in fits]).nanmean(dim=0) for key in fits[0]}


def _average_line(
    slope: Callable[[Cloud], Tensor], values: SubsetValues, draw: Draw, weights: Weights
) -> Columns:
    lines = []
    for row, judge in draw.clouds:
        bias_sq, variance = values.bias_sq(row), values.variance(row)
        keep = values.correct[judge] & (variance > 0) & (bias_sq > 0)
        moments = cloud(bias_sq[keep].log(), variance[keep].log(), weights[:, keep])
        lines.append(moments.line(slope(moments)))
    return _average(lines)


def _unbiased_logs(
    values: SubsetValues, row: int, judge: int, weights: Weights
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logs of unbiased bias_sq and variance where they exist and `judge` is correct."""
    bias_sq, variance = values.bias_sq_unbiased[row], values.variance_unbiased[row]
    positive = (bias_sq > 0) & (variance > 0) & (values.bias_sq_unbiased[judge] > 0)
    keep = torch.nonzero(values.correct[judge] & positive).flatten()
    return bias_sq[keep].log(), variance[keep].log(), keep, weights.index_select(1, keep)


def _binned_line(
    values: SubsetValues, sort: int, measure: int, judge: int, weights: Weights
) -> Columns:
    keep = torch.nonzero(values.correct[judge]).flatten()
    # of NumPy, twice as fast as torch.argsort
    order = keep[np.argsort(values.bias_sq_unbiased[sort, keep].numpy())]
    # counts, for which float32 is exact: half the bytes to gather
    weights = weights.float().index_select(1, order).double()
    num_bins = min(NUM_BINS, len(order) // 10)
    if num_bins < 3:
        undefined = torch.full((len(weights),), torch.nan, dtype=torch.float64)
        return {"slope": undefined, "intercept": undefined}
    reached = weights.cumsum(dim=1)
    edges = torch.arange(1, num_bins, dtype=torch.float64) * reached[:, -1:] / num_bins
    middles = reached.sub_(weights, alpha=0.5)
    starts = pad(torch.searchsorted(middles, edges), (1, 1))
    starts[:, -1] = len(order)

    def bin_sums(summands: Tensor) -> Tensor:
        return torch.segment_reduce(summands, "sum", offsets=starts, axis=1)

    count = bin_sums(weights)
    bias_sq = bin_sums(weights * values.bias_sq_unbiased[measure, order]) / count
    variance = bin_sums(weights * values.variance_unbiased[measure, order]) / count
    usable = (count > 0) & (bias_sq > 0) & (variance > 0)
    x, y = (torch.where(usable, v, 1.0).log() for v in (bias_sq, variance))
    moments = cloud(x, y, usable.double())
    line = moments.line(moments.least_squares())
    return {"slope": line["slope"], "intercept": line["intercept"]}
