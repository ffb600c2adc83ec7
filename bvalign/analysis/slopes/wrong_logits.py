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
    classes or members, and where logits are infinite.

    Args:
        logits: of samples that the members get right.
        target: class ids.
    """
    members, samples, classes = logits.shape
    if classes < 3 or members < 3 or not samples:
        return Skewness(math.nan, math.nan)
    total, used = torch.zeros(members, dtype=torch.float64), 0
    for rows in torch.arange(samples).split(max(1, CHUNK // (members * classes))):
        z = logits[:, rows].double()
        if classes > 3:  # the noise of the label itself, and a shared one, must not enter
            others = torch.arange(classes - 1).expand(len(rows), -1)
            others = others + (others >= target[rows].unsqueeze(1)).long()
            z = z.gather(2, others.expand(members, -1, -1))
        u = z - z.mean(dim=0)
        u -= u.mean(dim=-1, keepdim=True)
        scale = u.square().mean(dim=(0, 2)).sqrt()
        varied = scale.isfinite() & (scale > 0)
        u = u[:, varied] / scale[varied].unsqueeze(-1)
        total += u.pow(3).mean(dim=2).sum(dim=1)
        used += int(varied.sum())
    number = classes if classes == 3 else classes - 1
    left = (number - 2) * (members - 2) / math.sqrt(number * (number - 1) * members * (members - 1))
    of_members = total / (max(used, 1) * left)
    return Skewness(float(of_members.mean()), float(of_members.std() / math.sqrt(members)))
