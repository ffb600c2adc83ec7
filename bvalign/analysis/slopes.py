"""Estimators of the slope of log variance on log squared bias, over correct samples.

All logarithms are natural. How each one errs:

ols             least squares of log variance on log bias_sq, plug-in values, as in Chen et al.
                (2024). Both axes share the members' errors, which pulls the slope towards one,
                and the finite-M ceiling variance <= (M-1) bias_sq bends the cloud.
ols_unbiased    the same on unbiased values; the logarithm is still taken of noisy numbers.
slope_one       the slope held at one: offset = mean(log variance - log bias_sq) and the spread
                around it; the claim "variance = C bias_sq" itself.
cross_half      the primary one. Members are split into three groups: A sorts the samples into
                bins, B gives the mean unbiased bias_sq and variance of each bin, C decides which
                samples count as correct; the logarithm is taken of bin means. No group's errors
                meet another's, so the members' noise cannot make a line. Averaged over random
                splits and over the six ways to give three groups their roles.

Nothing identifies the population slope where members' probabilities are heavy-tailed: there every
ensemble of practical size shows a slope near one. A drift of the slope over the number of members
is the warning.

Every estimator takes weights (replicates, samples) and returns one number per replicate, so that
the estimate (weights one) and its bootstrap replicates are one call.
"""

from collections.abc import Callable
from itertools import permutations
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.analysis.subsets import SubsetValues

NUM_BINS = 30

Weights = Float[Tensor, "replicates samples"]
Columns = dict[str, Float[Tensor, "*replicates"]]
"""One value per replicate for each named number of an estimator."""


class Draw(NamedTuple):
    """A set of members and its random splits into three groups, as rows of a table of subsets."""

    whole: int
    splits: tuple[tuple[int, int, int], ...]


def ols(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """Least squares on plug-in values of the correct samples."""
    return _line(values.bias_sq(draw.whole), values.variance(draw.whole), values, draw, weights)


def ols_unbiased(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """Least squares on unbiased values of the correct samples."""
    bias_sq, variance = (v[draw.whole] for v in values[:2])
    return _line(bias_sq, variance, values, draw, weights)


def slope_one(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """Offset and spread of log variance - log bias_sq, plug-in values of the correct samples."""
    bias_sq, variance = values.bias_sq(draw.whole), values.variance(draw.whole)
    keep = values.correct[draw.whole] & (variance > 0)
    weights, log_variance = weights[:, keep], variance[keep].log()
    difference = log_variance - bias_sq[keep].log()
    total = weights.sum(dim=1)
    offset = weights @ difference / total
    spread_sq = weights @ difference.square() / total - offset.square()
    mean = weights @ log_variance / total
    total_sq = weights @ log_variance.square() / total - mean.square()
    r_squared = 1 - spread_sq / total_sq
    return {"offset": offset, "spread": spread_sq.clamp(min=0).sqrt(), "r_squared": r_squared}


def cross_half(values: SubsetValues, draw: Draw, weights: Weights) -> Columns:
    """Slope through the logs of bin means, with bins, means and correctness from three groups."""
    fits = [
        _binned_line(values, sort, measure, judge, weights)
        for split in draw.splits
        for sort, measure, judge in permutations(split)
    ]
    return {key: torch.stack([fit[key] for fit in fits]).nanmean(dim=0) for key in fits[0]}


ESTIMATORS: dict[str, Callable[[SubsetValues, Draw, Weights], Columns]] = {
    "cross_half": cross_half,
    "ols": ols,
    "ols_unbiased": ols_unbiased,
    "slope_one": slope_one,
}
NUMBERS = {
    "cross_half": ("slope", "intercept"),
    "ols": ("slope", "intercept", "r_squared"),
    "ols_unbiased": ("slope", "intercept", "r_squared"),
    "slope_one": ("offset", "spread", "r_squared"),
}


def least_squares(
    x: Float[Tensor, "*#replicates points"],
    y: Float[Tensor, "*#replicates points"],
    weights: Float[Tensor, "*#replicates points"],
) -> Columns:
    """Weighted least squares of y on x, one line per row of weights; slope NaN if x is constant."""
    total = weights.sum(dim=-1)
    mean_x, mean_y = (weights * x).sum(dim=-1) / total, (weights * y).sum(dim=-1) / total
    dx, dy = x - mean_x.unsqueeze(-1), y - mean_y.unsqueeze(-1)
    s_xx, s_yy = (weights * dx * dx).sum(dim=-1), (weights * dy * dy).sum(dim=-1)
    s_xy = (weights * dx * dy).sum(dim=-1)
    slope = s_xy / s_xx
    intercept = mean_y - slope * mean_x
    return {"slope": slope, "intercept": intercept, "r_squared": s_xy.square() / (s_xx * s_yy)}


def too_small(name: str, values: SubsetValues, draw: Draw) -> str | None:
    """Why an estimator is undefined for this draw, or None."""
    num_members = int(values.size[draw.whole])
    if num_members < 2:
        return "needs two members, as one has no variance"
    if name == "cross_half" and not draw.splits:
        return f"needs 6 members, three groups of two; there are {num_members}"
    needed = 30 if name == "cross_half" else 3
    usable = int((values.correct[draw.whole] & (values.variance_unbiased[draw.whole] > 0)).sum())
    if usable < needed:
        return f"needs {needed} correct samples with variance above zero; there are {usable}"
    return None


def _line(
    bias_sq: Float[Tensor, " samples"],
    variance: Float[Tensor, " samples"],
    values: SubsetValues,
    draw: Draw,
    weights: Weights,
) -> Columns:
    keep = values.correct[draw.whole] & (variance > 0) & (bias_sq > 0)
    return least_squares(bias_sq[keep].log(), variance[keep].log(), weights[:, keep])


def _binned_line(
    values: SubsetValues, sort: int, measure: int, judge: int, weights: Weights
) -> Columns:
    keep = torch.nonzero(values.correct[judge]).flatten()
    order = keep[values.bias_sq_unbiased[sort, keep].argsort()]
    weights = weights[:, order]
    num_bins = min(NUM_BINS, len(order) // 10)
    if num_bins < 3:
        undefined = torch.full((len(weights),), torch.nan, dtype=torch.float64)
        return {"slope": undefined, "intercept": undefined}
    below = weights.cumsum(dim=1) - weights / 2
    bins = (below / weights.sum(dim=1, keepdim=True) * num_bins).long().clamp(max=num_bins - 1)

    def bin_sums(per_sample: Tensor) -> Tensor:
        zeros = torch.zeros(len(weights), num_bins, dtype=torch.float64)
        return zeros.scatter_add(1, bins, weights * per_sample)

    count = bin_sums(torch.ones(1, dtype=torch.float64))
    bias_sq = bin_sums(values.bias_sq_unbiased[measure, order]) / count
    variance = bin_sums(values.variance_unbiased[measure, order]) / count
    usable = (count > 0) & (bias_sq > 0) & (variance > 0)
    x, y = (torch.where(usable, v, 1.0).log() for v in (bias_sq, variance))
    line = least_squares(x, y, usable.double())
    return {"slope": line["slope"], "intercept": line["intercept"]}
