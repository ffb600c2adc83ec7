"""Extreme values of sums over classes whose probabilities are known up to their total.

For one sample the unknown part u_k of a mean probability lies in [0, c_k], and its sum over classes
is R: what members keep of a class says more than that, so the values here bound the possible ones.

    largest of <w, u>           fill the classes with the largest w up to their c, until R is used
    largest of ‖h + u‖² - ‖h‖²  at most that of <2h + c, u>, as 2hu + u² <= (2h + c) u on [0, c]
    least of ‖h + u‖² - ‖h‖²    u_k = λ - h_k within [0, c_k], at the λ where they sum to R; any
                                other λ gives less (Lagrange's dual), so rounding does no harm
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Classes = Float[Tensor, "samples some"]


class Unknown(NamedTuple):
    """Unknown parts of the mean probabilities; the last column stands for several classes."""

    limit: Classes  # c
    number: Classes  # of classes in a column
    total: Float[Tensor, " samples"]  # R


def largest_product(weight: Classes, unknown: Unknown) -> Float[Tensor, " samples"]:
    """Largest sum over classes of w u.

    >>> one = torch.ones(1, 3).double()
    >>> unknown = Unknown(0.4 * one, one, torch.tensor([0.6], dtype=torch.float64))
    >>> weight = torch.tensor([[1.0, 3.0, 2.0]]).double()
    >>> largest_product(weight, unknown).item()  # 0.4 * 3 + 0.2 * 2
    1.6
    """
    ordered, order = weight.sort(dim=-1, descending=True)
    room = (unknown.limit * unknown.number).gather(-1, order)
    left = unknown.total.unsqueeze(-1) - (room.cumsum(dim=-1) - room)
    return (ordered * torch.minimum(room, left.clamp(min=0))).sum(dim=-1)


def largest_growth(mean: Classes, unknown: Unknown) -> Float[Tensor, " samples"]:
    """Upper bound of ‖h + u‖² - ‖h‖²."""
    return largest_product(2 * mean + unknown.limit, unknown)


def least_growth(mean: Classes, unknown: Unknown) -> Float[Tensor, " samples"]:
    """Least value of ‖h + u‖² - ‖h‖².

    >>> one = torch.ones(1, 3).double()
    >>> least_growth(0 * one, Unknown(one, one, one.sum(dim=-1) / 2)).item()  # 3 * 0.5²
    0.75
    """
    limit, number, total = unknown
    mean = mean.where(limit > 0, 0.0)  # where nothing is unknown, nothing grows
    level = _level(mean, unknown).unsqueeze(-1)
    u = torch.minimum((level - mean).clamp(min=0), limit)
    left = total - (number * u).sum(dim=-1)
    return (number * (2 * mean * u + u.square())).sum(dim=-1) + 2 * level.squeeze(-1) * left


def _level(mean: Classes, unknown: Unknown) -> Float[Tensor, " samples"]:
    """λ: between its ends h and h + c a class takes what the level rises by."""
    limit, number, total = unknown
    ends, order = torch.cat([mean, mean + limit], dim=-1).sort(dim=-1)
    slope = torch.cat([number, -number], dim=-1).gather(-1, order).cumsum(dim=-1)
    filled = torch.zeros_like(ends)
    filled[:, 1:] = (slope[:, :-1] * ends.diff(dim=-1)).cumsum(dim=-1)
    last = (filled <= total.unsqueeze(-1)).sum(dim=-1, keepdim=True) - 1
    at, before, rate = (values.gather(-1, last) for values in (ends, filled, slope))
    rise = torch.where(rate > 0, (total.unsqueeze(-1) - before) / rate, 0.0)
    return (at + rise).squeeze(-1)
