"""Means of the plotted variance over bins of the plotted squared bias, with their intervals.

Bins have equal width on the axis that is shown, and so have their means: u is x, or log10 x on
logarithmic axes, and v likewise y. For the n samples of a bin, v̄ is the mean of v. Its interval is
that of `analysis/intervals/two_way.py` with

    V_s   sum_i (v_i - v̄)² / n²  C/(C-1)             C samples or, with sums over each, clusters
    V_m   jackknife variance over groups g of v̄_(-g)
    V_b   sum_i jackknife variance over g of 1{i in bin without g} (v_i(-g) - v̄) / n

where (-g) leaves a group of members out. Samples then have other values, lie in other bins, and
may change from right to wrong: all of it is counted. V_m and V_b come from the samples whose values
without members are kept, as their difference does not depend on how many these are.

Of 200 simulated ensembles of ten members of different scales on 1,500 samples, 93% of the intervals
in 24 bins of log axes held the mean of that bin over all of them, and 92% in 13 of linear axes;
with V_s alone 74% and 77%.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from bvalign.analysis.groups import left_out_variance
from bvalign.analysis.intervals import Spread, estimate, samples_variance

NUM_BINS = 30
LEAST_SAMPLES = 10
"""Bins of fewer samples are not shown."""


class Points(NamedTuple):
    """Points of a scatter; with a leading axis, one set for each group of members left out."""

    x: Float[np.ndarray, "*groups samples"]
    y: Float[np.ndarray, "*groups samples"]
    kind: Int[np.ndarray, "*groups samples"]  # 0 or 1, such as right and wrong

    def on_axes(self, *, log: bool) -> "Points":
        """Positions on the axes; not finite where a logarithm is undefined."""
        if not log:
            return self
        with np.errstate(divide="ignore", invalid="ignore"):
            return Points(np.log10(self.x), np.log10(self.y), self.kind)


class Cells(NamedTuple):
    """Bins of each kind, those of kind 0 first."""

    low: float
    high: float

    def of(self, points: Points) -> Int[np.ndarray, "*groups samples"]:
        """The bin of each point; 2 NUM_BINS for those in none."""
        width = (self.high - self.low) / NUM_BINS or 1.0
        with np.errstate(invalid="ignore"):
            place = np.floor((points.x - self.low) / width)
        inside = (points.x >= self.low) & (points.x <= self.high) & np.isfinite(points.y)
        place = np.clip(np.where(inside, place, 0), 0, NUM_BINS - 1).astype(np.int64)
        return np.where(inside, points.kind * NUM_BINS + place, 2 * NUM_BINS)


def bin_means(
    points: Points,
    left_out: Points | None,
    clusters: Int[np.ndarray, " samples"] | None,
    *,
    log: bool,
) -> dict[str, object]:
    """Computes the means of each bin that has enough samples.

    Args:
        points: of all samples.
        left_out: of some samples without each group of members; None if unknown.
        clusters: of the samples; None if they are independent.
        log: whether both axes are logarithmic; the means are then geometric.

    Returns:
        `low` and `high`, the ends of the bins on the axis, `number` of bins, `members`, whether
        intervals are over members too, and `means`: for each kind lists x, y, low, high and n.
    """
    placed = points.on_axes(log=log)
    usable = placed.x[np.isfinite(placed.x) & np.isfinite(placed.y)]
    if not len(usable):
        return {"low": 0.0, "high": 0.0, "number": NUM_BINS, "members": False, "means": [[], []]}
    cells = Cells(float(usable.min()), float(usable.max()))
    at = cells.of(placed)
    members, both, groups = _over_members(left_out and left_out.on_axes(log=log), cells)
    means: list[list[dict[str, float]]] = [[], []]
    for cell in np.flatnonzero(np.bincount(at, minlength=2 * NUM_BINS)[: 2 * NUM_BINS]):
        rows = np.flatnonzero(at == cell)
        if len(rows) < LEAST_SAMPLES:
            continue
        v = torch.from_numpy(placed.y[rows])
        of = None if clusters is None else torch.from_numpy(clusters[rows])
        spread = Spread(*samples_variance(v, of))
        if groups and np.isfinite(members[cell]):
            spread = Spread(*spread[:2], float(members[cell]), float(both[cell]), groups)
        mean = estimate(float(v.mean()), spread)
        low, high = mean.quoted_interval or (mean.value, mean.value)
        ends = np.array([placed.x[rows].mean(), mean.value, low, high])
        x, y, low, high = (10.0**ends if log else ends).tolist()
        means[cell // NUM_BINS].append({"x": x, "y": y, "low": low, "high": high, "n": len(rows)})
    return {
        "low": cells.low,
        "high": cells.high,
        "number": NUM_BINS,
        "members": bool(groups),
        "means": means,
    }


def _over_members(
    left_out: Points | None, cells: Cells
) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, " cells"], int]:
    """V_m and V_b of each cell, NaN where it is empty without some group, and the groups."""
    number = 2 * NUM_BINS
    if left_out is None:
        return np.full(number, np.nan), np.full(number, np.nan), 0
    groups, samples = left_out.x.shape
    at = cells.of(left_out)
    v = np.where(at < number, left_out.y, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        sizes = np.stack([np.bincount(row, minlength=number + 1) for row in at])
        sums = np.stack([np.bincount(row, w, number + 1) for row, w in zip(at, v, strict=True)])
        without = (sums / sizes)[:, :number]
        size, mean = sizes.mean(axis=0), sums.sum(axis=0) / sizes.sum(axis=0)
        added = (v - mean[at]) / size[at]  # of each sample to the mean of its cell
        squares = np.bincount(at.ravel(), (added**2).ravel(), number + 1)
        pair = np.arange(samples) * (number + 1) + at  # a sample and a cell
        totals = np.bincount(pair.ravel(), added.ravel(), samples * (number + 1))
        squares -= (totals.reshape(samples, -1) ** 2).sum(axis=0) / groups
    members = left_out_variance(torch.from_numpy(without)).numpy()
    return members, squares[:number] * (groups - 1) / groups, groups
