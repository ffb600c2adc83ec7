"""Ensembles of some of the members: unions of at most eight parts, in every replicate alike.

Of G parts, unions of G, G/2, G/4, ... parts (rounded down) are the levels of a curve over the
number of members, and unions of G - 1 serve as the full ensemble where one part is left out. All
unions of a level are taken, but of eight parts those 14 of four in which every three parts are
together once (the planes of a cube, whose corners' numbers have the exclusive or 0): as balanced as
all 70. So no member and no pair of members counts more than another, and the values of a level do
not depend on a draw: they are a complete U-statistic up to interactions of four parts.
"""

from functools import reduce
from itertools import combinations
from operator import xor
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bvalign.analysis.groups import MemberGroups

MOST_PARTS = 8
LEAST_PARTS = 3
"""Fewest that can be left out one by one."""


class Unions(NamedTuple):
    """Sets of groups, the same for the same groups.

    The first sets are single members where parts have several: a row for each part, whose value is
    the mean over its members.
    """

    groups: Bool[Tensor, "sets groups"]
    single: int  # first sets whose values are means over single members
    level: Float[Tensor, "levels sets"]  # weights of the mean of each level, ascending in size
    without: Float[Tensor, "parts levels sets"]  # the same without each part; empty below three
    inverse: Float[Tensor, " sets"]  # one over the members of each set


def unions(groups: MemberGroups) -> Unions:
    """Chooses the sets.

    Args:
        groups: of the members.

    >>> from bvalign.analysis.groups import member_groups
    >>> (1 / unions(member_groups(4)).inverse).tolist()
    [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 4.0, 3.0, 3.0, 3.0, 3.0]
    """
    sizes = torch.tensor(groups.sizes)
    number = min(MOST_PARTS, len(sizes))
    part_of = torch.empty(number, len(sizes), dtype=torch.bool)
    for row, positions in zip(part_of, np.array_split(np.arange(len(sizes)), number), strict=True):
        row[:] = False
        row[positions] = True
    halves = [number >> k for k in reversed(range(number.bit_length()))]
    counts = [1] * (sum(groups.sizes) > number) + halves
    chosen = [(place, one) for place, k in enumerate(counts) for one in _choose(number, k)]
    if number >= LEAST_PARTS:
        chosen += [(None, one) for one in combinations(range(number), number - 1)]
    parts = torch.zeros(len(chosen), number, dtype=torch.bool)
    for row, (_, one) in zip(parts, chosen, strict=True):
        row[list(one)] = True
    of_level = torch.stack([torch.tensor([p == i for p, _ in chosen]) for i in range(len(counts))])
    without = of_level.expand(number if number >= LEAST_PARTS else 0, -1, -1).clone()
    for part, rows in enumerate(without):
        rows[-1] = torch.tensor([place is None for place, _ in chosen])
        rows &= ~parts[:, part]
    of_groups = (parts.double() @ part_of.double()).bool()
    members = of_groups.double() @ sizes.double()
    single = number if len(counts) > len(halves) else 0
    inverse, weight = 1 / members, torch.ones_like(members)
    inverse[:single], weight[:single] = 1.0, members[:single]  # every single member counts alike
    return Unions(of_groups, single, _means(of_level * weight), _means(without * weight), inverse)


def of_several(sets: Unions) -> Unions:
    """The sets without single members, where parts have several."""
    first = sets.single
    level = int(first > 0)
    return Unions(
        sets.groups[first:],
        0,
        sets.level[level:, first:],
        sets.without[:, level:, first:],
        sets.inverse[first:],
    )


def _choose(number: int, size: int) -> list[tuple[int, ...]]:
    """All sets of that size, or the planes among them."""
    every = combinations(range(number), size)
    if (number, size) == (8, 4):
        return [one for one in every if reduce(xor, one) == 0]
    return list(every)


def _means(weights: Float[Tensor, "*any sets"]) -> Float[Tensor, "*any sets"]:
    return weights / weights.sum(dim=-1, keepdim=True)
