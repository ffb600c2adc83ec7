"""Skewness of the noise in the logits of wrong classes: the sign of a tail that log odds hide.

The variance of an easy sample is set by the upper tail of the wrong logits, beyond any member seen,
and in the log odds, a sum of them, the asymmetry of that tail is lost. With z the logits of the
wrong classes of one sample and u their noise, centred over members and over classes and scaled to
unit mean square,

    skewness = mean u³ / ((K-2)(M-2) / sqrt(K (K-1) M (M-1)))

for K wrong classes: the divisor is what centring leaves of a skewness. Two classes leave none.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

CHUNK = 2**18
"""Numbers at a time."""


class Skewness(NamedTuple):
    """Skewness of the noise in the logits of wrong classes, and its standard error over members."""

    value: float  # NaN where there is none to measure
    standard_error: float


def wrong_logit_skewness(
    logits: Float[Tensor, "members samples classes"], target: Int[Tensor, " samples"]
) -> Skewness:
    """Skewness over the given samples, each of equal weight.

    With three classes all of them are used, as two centred ones have no skewness; NaN with two
    classes or members, and where logits are infinite. Classes that all members exclude are none.

    Args:
        logits: of samples that the members get right.
        target: class ids.
    """
    members, samples, classes = logits.shape
    total, used, asked = torch.zeros(members, dtype=torch.float64), 0, False
    chunks = torch.arange(samples).split(max(1, CHUNK // (members * classes)))
    for rows in chunks if members > 2 else ():
        there = logits[:, rows].amax(dim=0) > -torch.inf
        numbers = there.sum(dim=-1)
        for number in numbers[numbers > 2].unique().tolist():
            own = numbers == number
            z, classes_of = logits[:, rows[own]].double(), there[own]
            if number > 3:  # the noise of the label itself, and a shared one, must not enter
                classes_of.scatter_(-1, target[rows[own]].unsqueeze(-1), False)
            sums, varied = _cubes(z[:, classes_of].reshape(*z.shape[:2], -1))
            total += sums
            used, asked = used + varied, True
    if not asked:
        return Skewness(math.nan, math.nan)
    of_members = total / max(used, 1)
    return Skewness(float(of_members.mean()), float(of_members.std() / math.sqrt(members)))


def _cubes(z: Float[Tensor, "members samples wrong"]) -> tuple[Float[Tensor, " members"], int]:
    """Sum of the skewness of each sample, and how many have one."""
    members, _, number = z.shape
    u = z - z.mean(dim=0)
    u -= u.mean(dim=-1, keepdim=True)
    scale = u.square().mean(dim=(0, 2)).sqrt()
    varied = scale.isfinite() & (scale > 0)
    u = u[:, varied] / scale[varied].unsqueeze(-1)
    left = (number - 2) * (members - 2) / math.sqrt(number * (number - 1) * members * (members - 1))
    return u.pow(3).mean(dim=2).sum(dim=1) / left, int(varied.sum())
