"""Effect of one temperature for all members on the gap, on samples that it was not fitted on.

The temperature is that of least negative log-likelihood of the members' mean
(`temperature_fit.py`), which calibrates the mean: the gap identity is about the mean, and once it
is calibrated, mean gap = mean uncertainty. On the fitted samples themselves, the gap after scaling
is no test of calibration.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.calibration.gap import Gap, gap_identity
from bvalign.analysis.calibration.temperature_fit import fit_temperature
from bvalign.analysis.decompositions import Column, columns_of, member_probs
from bvalign.analysis.groups import (
    LeftOut,
    MemberGroups,
    MemberPart,
    leave_one_out,
    left_out,
    left_out_sums,
    loss_sums,
    member_sums,
    residuals,
    set_values,
)
from bvalign.analysis.intervals import Estimate

CHUNK = 2**18
"""Logits at a time."""


class TemperatureEffect(NamedTuple):
    """Gap identity of each sample before and after scaling, and the paired difference."""

    before: Gap
    after: Gap
    change: Gap


class Temperature(NamedTuple):
    """Temperature scaling fitted on one half of some test samples and evaluated on the other."""

    temperature: float | None  # None where it is undefined; `reason` says why
    num_samples: int  # in each half
    effect: dict[str, dict[str, Estimate]] | None = None  # before, after, change -> field of Gap
    reason: str | None = None


def temperature_effect(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    temperature: float,
) -> TemperatureEffect:
    """Effect of a temperature on the gap, uncertainty and calibration residual of each sample.

    Args:
        logits: of all members, on samples that the temperature was not fitted on.
        target: class ids.
        temperature: T > 0; above 1 it softens the probabilities.

    Raises:
        ValueError: the temperature is not a finite positive number.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"temperature must be finite and positive, got {temperature}; does it come from "
            "fit_temperature?"
        )
    before = gap_identity(logits, target)
    after = gap_identity(logits.double() / temperature, target)
    change = Gap(*(new - old for new, old in zip(after, before, strict=True)))
    return TemperatureEffect(before, after, change)


def temperature(
    logits: Float[Tensor, "members chosen classes"],
    target: Int[Tensor, " chosen"],
    groups: MemberGroups,
    clusters: Int[Tensor, " chosen"] | None = None,
) -> Temperature:
    """Fits a temperature on a random half of some samples, and measures it on the other.

    Args:
        logits: of all members.
        target: class ids.
        groups: of the members.
        clusters: of the samples, each in one half but for the one in the middle; None if samples
            are independent.
    """
    half = len(target) // 2
    finite = logits.isfinite() | (logits.amax(dim=0) == -torch.inf)  # classes a sample lacks
    if half < 5 or not finite.all():
        return Temperature(None, half, reason="needs ten samples with finite logits")
    order = in_random_order(len(target), clusters)
    fit, judge = order[:half], order[half : 2 * half]
    try:
        found = fit_temperature(logits[:, fit], target[fit])
    except ValueError as error:
        return Temperature(None, half, reason=str(error))
    logits, target = logits[:, judge], target[judge]
    effect = temperature_effect(logits, target, found)
    without = _left_out_effect(logits, target, found, groups)
    own = None if clusters is None else clusters[judge]
    means = {
        name: MemberPart(Gap._fields, sums, half, own).means(_columns(gap, name))
        for (name, gap), sums in zip(effect._asdict().items(), without, strict=True)
    }
    return Temperature(found, half, means)


def _columns(gap: Gap, name: str) -> dict[str, Column]:
    """Columns of a field of `TemperatureEffect`; a change can be below zero."""
    columns = columns_of(gap)
    if name != "change":
        return columns
    return {n: Column(c.values, c.unit._replace(kind="real")) for n, c in columns.items()}


def in_random_order(
    number: int, clusters: Int[Tensor, " chosen"] | None, seed: int = 0
) -> Int[Tensor, " chosen"]:
    """Samples in random order, those of a cluster together."""
    rng = np.random.default_rng(seed)
    if clusters is None:
        return torch.from_numpy(rng.permutation(number))
    _, place = clusters.unique(return_inverse=True)
    rank = rng.permutation(int(place.max()) + 1)[place.numpy()]
    return torch.from_numpy(np.argsort(rank, kind="stable"))


def _left_out_effect(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    temperature: float,
    groups: MemberGroups,
) -> list[LeftOut]:
    """Sums of the gap without each group of members: before, after and change."""
    length = max(1, CHUNK // (logits.shape[0] * logits.shape[2]))
    sums = []
    for rows in torch.arange(len(target)).split(length):
        part, label = logits[:, rows].double(), target[rows]
        before, after = (_gap_left_out(z, label, groups) for z in (part, part / temperature))
        change = Gap(*(new - old for new, old in zip(after, before, strict=True)))
        sums.append([left_out_sums(gap) for gap in (before, after, change)])
    return [
        LeftOut(*(torch.stack(parts).sum(dim=0) for parts in zip(*of_kind, strict=True)))
        for of_kind in zip(*sums, strict=True)
    ]


def _gap_left_out(logits: Tensor, target: Tensor, groups: MemberGroups) -> Gap:
    members = member_probs(logits)
    given = residuals(members.probs, target)
    values = set_values(leave_one_out(member_sums(given, groups)), given)
    found = left_out(values, leave_one_out(loss_sums(members, groups)), target)
    return Gap(*(getattr(found, name) for name in Gap._fields))
