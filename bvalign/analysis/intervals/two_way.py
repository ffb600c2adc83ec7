"""95% intervals of numbers that are means over samples and functions of the members.

An estimate from N samples and M members varies because both were drawn. With V_s its variance over
samples for these members, V_m that over members on these samples, and V_b the part of V_m that
single samples do not share, which is in V_s as well,

    V = V_s + max(V_m - V_b, 0)

estimates the variance over both (Efron & Stein 1981; Owen 2007). The interval is the estimate ± t
standard errors, with Satterthwaite's degrees of freedom for a sum of two estimated variances:

    V² / (V_s² / (C - 1) + max(V_m - V_b, 0) V_m / (G - 1))    C independent samples, G groups

A proportion has Wilson's interval (1927) with n = p (1 - p) / V in place of the sample size, as for
complex surveys (Korn & Graubard 1998): near 0 and 1 it stays inside [0, 1] and does not shrink to a
point. Wilson, not Clopper-Pearson, as that covers more than it says (Brown, Cai & DasGupta 2001).
The mean of differences of proportions, from -1 to 1, is as uncertain on both sides as a proportion
of the size of their mean magnitude is above: where no sample differs, by the number of samples.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import Kind
from bvalign.analysis.intervals.estimate import Estimate, Interval, Spread
from bvalign.analysis.intervals.student import t_quantile

LEAST_MEMBERS = 3
"""Fewest members with a variance when one is left out."""

SAMPLES_ALONE = "over samples alone: an interval over members needs three of them"

ENDS = {
    "real": (-math.inf, math.inf),
    "positive": (0.0, math.inf),
    "proportion": (0.0, 1.0),
    "difference": (-1.0, 1.0),
}
"""Kind -> what a number of it lies between."""

UNBOUNDED = "the logits that are kept do not bound it: a member does not keep the label"


def samples_variance(
    influence: Float[Tensor, " samples"], clusters: Int[Tensor, " samples"] | None = None
) -> tuple[float, int]:
    """Variance over samples of a mean, and the number of independent units.

    Args:
        influence: of each sample on the mean, such as its value; centred here.
        clusters: cluster of each sample, 0, 1, ...; None if samples are independent.

    >>> import torch
    >>> samples_variance(torch.tensor([1.0, 2.0, 3.0]).double())
    (0.3333333333333333, 3)
    >>> samples_variance(torch.tensor([1.0, 1.0, 3.0]).double(), torch.tensor([0, 0, 1]))[1]
    2
    """
    centred, units = _of_units(influence, clusters)
    if units < 2:
        return math.nan, units
    return float(centred.square().sum()) / len(influence) ** 2 * units / (units - 1), units


def samples_covariance(
    influences: Float[Tensor, "numbers samples"], clusters: Int[Tensor, " samples"] | None = None
) -> tuple[Float[Tensor, "numbers numbers"], int]:
    """Covariances over samples of several means, as `samples_variance`.

    Args:
        influences: of each sample on each mean.
        clusters: of the samples; None if they are independent.
    """
    rows = [_of_units(influence, clusters) for influence in influences]
    centred, units = torch.stack([values for values, _ in rows]), rows[0][1]
    scale = units / (units - 1) if units > 1 else math.nan
    return centred @ centred.T * (scale / influences.shape[1] ** 2), units


def _of_units(
    influence: Float[Tensor, " samples"], clusters: Int[Tensor, " samples"] | None
) -> tuple[Float[Tensor, " units"], int]:
    """Centred influence, added up over each cluster, and the number of them."""
    centred = influence - influence.mean()
    if clusters is None:
        return centred, len(influence)
    _, place = clusters.unique(return_inverse=True)
    units = int(place.max()) + 1
    return centred.new_zeros(units).index_add(0, place, centred), units


def estimate(
    value: float,
    spread: Spread,
    kind: Kind = "real",
    *,
    magnitude: float = math.nan,
    without_members: str = SAMPLES_ALONE,
) -> Estimate:
    """The value with its intervals.

    Args:
        value: the number; the result has a reason if it is not finite.
        spread: its variances.
        kind: what a mean of such values can be; intervals end there.
        magnitude: of a difference of proportions, the mean of the absolute values.
        without_members: the reason why there is no interval over members, if there is none.

    >>> print(estimate(1.0, Spread(0.01, 100)))
    1 (0.8016 to 1.198, samples alone)
    >>> print(estimate(1.0, Spread(0.0, 100), "proportion"))  # 100 of 100
    1 (0.9621 to 1, samples alone)
    """
    if not math.isfinite(value):
        return Estimate(None, reason="undefined")
    samples, units, members, both, groups = spread
    if not math.isfinite(samples):
        return Estimate(value, reason="one independent sample has no variance: no interval")

    def around(variance: float, freedom: float) -> Interval:
        quantile = t_quantile(freedom)
        if kind == "proportion":
            return _wilson(value, variance, quantile, units)
        half = quantile * math.sqrt(variance)
        if kind == "difference":
            half = max(half, _wilson(magnitude, variance, quantile, units)[1] - magnitude)
            return max(value - half, min(value, -1.0)), min(value + half, max(value, 1.0))
        low = value - half
        return max(low, min(value, 0.0)) if kind == "positive" else low, value + half

    over_samples = around(samples, units - 1.0)
    if members is None or not math.isfinite(members):
        return Estimate(value, None, over_samples, None, without_members, spread)
    extra = max(members - both, 0.0)
    total, freedom = samples + extra, units - 1.0
    uncertain = samples**2 / (units - 1) + extra * members / (groups - 1)
    if extra and uncertain:  # squares of the smallest numbers are zero
        freedom = max(total**2 / uncertain, 1.0)
    # V_b is part of V_s, so an estimate beyond it is error
    of_members = around(extra + min(both, samples), groups - 1.0)
    return Estimate(value, around(total, freedom), over_samples, of_members, variances=spread)


def stretched(number: Estimate, below: float, above: float) -> Estimate:
    """Extends the intervals over members, for what the spread does not hold.

    Args:
        number: with its intervals.
        below: at most zero, added to the lower ends.
        above: at least zero, added to the upper ends.
    """

    def longer(ends: Interval | None) -> Interval | None:
        return ends and (ends[0] + below, ends[1] + above)

    return number._replace(
        interval=longer(number.interval), interval_members=longer(number.interval_members)
    )


def within(number: Estimate, bounds: Interval, kind: Kind = "real") -> Estimate:
    """Extends all intervals of a number that is known only to lie within bounds.

    Args:
        number: with its intervals.
        bounds: around its value; where one is infinite, there is no interval.
        kind: what the number can be; intervals end there.

    >>> within(Estimate(0.5, (0.4, 0.9)), (0.45, 0.7), "proportion").interval
    (0.35000000000000003, 1.0)
    """
    if number.value is None:
        return number
    below, above = (end - number.value for end in bounds)
    if not math.isfinite(above - below):
        return Estimate(number.value, reason=UNBOUNDED)
    least, most = ENDS[kind]

    def longer(ends: Interval | None) -> Interval | None:
        if ends is None:
            return None
        low, high = max(ends[0] + below, least), min(ends[1] + above, most)
        return min(low, number.value), max(high, number.value)

    return number._replace(
        interval=longer(number.interval),
        interval_samples=longer(number.interval_samples),
        interval_members=longer(number.interval_members),
    )


def _wilson(p: float, variance: float, quantile: float, units: int) -> Interval:
    inside = min(max(p, 0.0), 1.0)  # rounding may put it outside
    product, number = inside * (1 - inside), float(units)
    if variance > 0 and product > 0:
        number = product / variance
    elif variance > 0:  # 0 or 1 with members that differ: p (1 - p) at the centre of the interval
        number = min(number, quantile / math.sqrt(2 * variance))
    square = quantile**2 / number if number > 0 else math.inf
    if not math.isfinite(square):
        return min(0.0, p), max(1.0, p)
    centre = (inside + square / 2) / (1 + square)
    half = math.sqrt(square * (product + square / 4)) / (1 + square)
    return min(max(centre - half, 0.0), p), max(min(centre + half, 1.0), p)
