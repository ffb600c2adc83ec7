"""How far an estimate without labels may be off: chance, and the shift from source to target.

Chance is measured by leaving out: a tenth of the source's samples at a time, a tenth of the
target's, a group of members (delete-a-group jackknife). The variances over source and target add
up; that over the members is added whole, which counts what members and samples share twice.

The shift is not in these variances. On the scale of log odds, for risk and bias_sq those of half
their value, the error of a method is taken to grow with the distance between source and target
(`shift.py`). Its scale comes from two places, as for a variance with a scaled inverse χ² prior
(Gelman et al. 2013, 2.6):

    s² = (K (c d)² + sum_j r_j² max(1, d / D)²) / (K + n)

with d the distance of the target beyond chance; c and K from measurements on other ensembles
(docs/decisions/without_labels.md); r_j the error of the method on the j-th of n further labelled
sets; D the root mean square of their distances, or 0.1 where they are nearer: never less than they
show, and more where the target is further away. The interval adds t s, with K + n degrees of
freedom, to what chance allows, as root of the sum of squares.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int
from scipy.special import expit, logit
from torch import Tensor

from bvalign.analysis.groups import member_groups
from bvalign.analysis.intervals import Estimate, Spread, estimate, t_quantile
from bvalign.decisions.without_labels.methods import Labelled, Numbers, labelled
from bvalign.decisions.without_labels.values import (
    BLOCKS,
    RATES,
    Sample,
    Values,
    blocks,
    part_of,
    values_of,
)
from bvalign.decisions.without_labels.words import UNDEFINED

PRIOR_SCALE, PRIOR_WEIGHT = 0.7, 4
"""c and K: the root mean square of error / distance over shifts measured, and what it counts."""

LEAST_MEMBERS = 3
ALONE = "over samples alone: an interval over members needs three of them"
NEAR = 0.1
"""Distance below which sets do not tell how errors grow with it."""

LARGEST = 2.0
"""Of risk and bias_sq."""

Compute = Callable[[Labelled, Values, Int[Tensor, " some"] | None], dict[str, Numbers]]
"""Maps a source, a target, and which of its samples they are (None for all) to numbers."""

EDGE = 1e-4
"""Rates closer to 0 or 1 count as this close, in log odds."""


def with_chance(source: Sample, target: Sample, compute: Compute) -> dict[str, dict[str, Estimate]]:
    """Several kinds of estimates with what chance allows.

    Args:
        source: with labels.
        target: its labels are not read.
        compute: gives the numbers by kind and quantity.

    Returns:
        Kind, such as the method -> quantity -> estimate.
    """
    ours, theirs = labelled(source), values_of(target)
    whole = compute(ours, theirs, None)
    of_source = [compute(labelled(part_of(source, rows)), theirs, None) for rows in blocks(source)]
    of_target = [compute(ours, values_of(part_of(target, rows)), rows) for rows in blocks(target)]
    number = len(target.votes)
    of_members = []
    if number >= LEAST_MEMBERS:
        for group in member_groups(number).members:
            rest = [m for m in range(number) if m not in group]
            parts = (part_of(sample, members=rest) for sample in (source, target))
            of_members.append(compute(labelled(next(parts)), values_of(next(parts)), None))
    units = source.units + target.units
    return {
        method: {
            name: _estimate(value, name, (of_source, of_target, of_members), method, units)
            for name, value in found.items()
        }
        for method, found in whole.items()
    }


def on_scale(value: float, name: str) -> float:
    """Log odds of a rate, or of the share of the range that another quantity takes.

    >>> on_scale(0.5, "error_rate"), on_scale(1.0, "risk")
    (0.0, 0.0)
    """
    share = value if name in RATES else value / LARGEST
    return float(logit(min(max(share, EDGE), 1 - EDGE)))


def shift_scale(
    distance: float, errors: Sequence[float], distances: Sequence[float]
) -> tuple[float, int]:
    """Scale s of the error that a shift brings, and its degrees of freedom.

    Args:
        distance: of the target, beyond chance.
        errors: of the method on further labelled sets, on the scale of `on_scale`.
        distances: of those sets.

    >>> shift_scale(0.1, [], [])
    (0.06999999999999999, 4)
    """
    total = PRIOR_WEIGHT * (PRIOR_SCALE * distance) ** 2
    if errors:
        usual = math.sqrt(sum(d * d for d in distances) / len(distances))
        further = max(1.0, distance / max(usual, NEAR))
        total += sum(r * r for r in errors) * further**2
    freedom = PRIOR_WEIGHT + len(errors)
    return math.sqrt(total / freedom), freedom


def widened(number: Estimate, name: str, scale: tuple[float, int]) -> Estimate:
    """Adds the shift to an interval."""
    if number.value is None or number.quoted_interval is None:
        return number
    s, freedom = scale
    extra, centre = t_quantile(freedom) * s, on_scale(number.value, name)
    low, high = (on_scale(end, name) - centre for end in number.quoted_interval)
    most = 1.0 if name in RATES else LARGEST
    below = most * float(expit(centre - math.hypot(low, extra)))
    above = most * float(expit(centre + math.hypot(high, extra)))
    ends = number.quoted_interval
    return _with_ends(number, (min(below, ends[0]), max(above, ends[1])))


def hull(number: Estimate, others: Sequence[Estimate]) -> Estimate:
    """Extends the interval to the intervals of other estimates."""
    ends = [e.quoted_interval for e in (number, *others) if e.quoted_interval is not None]
    if number.quoted_interval is None:
        return number
    return _with_ends(number, (min(low for low, _ in ends), max(high for _, high in ends)))


def _with_ends(number: Estimate, ends: tuple[float, float]) -> Estimate:
    if number.interval is None:
        return number._replace(interval_samples=ends)
    return number._replace(interval=ends)


def _estimate(
    value: float,
    name: str,
    left_out: tuple[list[dict[str, Numbers]], ...],
    method: str,
    units: int,
) -> Estimate:
    of_source, of_target, of_members = (
        _jackknife([found.get(method, {}).get(name, math.nan) for found in parts])
        for parts in left_out
    )
    if not math.isfinite(value):
        return Estimate(None, reason=UNDEFINED)
    kind = "proportion" if name in RATES else "positive"
    spread = Spread(of_source + of_target, min(units, 2 * BLOCKS - 1))
    if left_out[2]:
        spread = spread._replace(members=of_members, groups=len(left_out[2]))
    return estimate(value, spread, kind, without_members=ALONE)


def _jackknife(values: Sequence[float]) -> float:
    found = torch.tensor(values, dtype=torch.float64)
    number = len(found)
    if number < 2:
        return math.nan
    return (number - 1) / number * float((found - found.mean()).square().sum())
