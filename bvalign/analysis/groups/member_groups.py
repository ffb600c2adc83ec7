"""Random groups of the members, and the unions of groups that serve as smaller ensembles.

Everything that is asked of a part of the members is asked of whole groups: their spread when one
group at a time is left out (delete-a-group jackknife), ensembles of fewer members (disjoint unions
of groups), and three separate parts. So sums over each group are all that a pass has to form.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

NUM_GROUPS = 16
"""Most groups; up to as many members, each is a group of its own."""

SPLITS_IN_THREE = 4


class MemberGroups(NamedTuple):
    """Groups of the members, the same for the same number of members and seed."""

    members: tuple[tuple[int, ...], ...]  # of each group
    smaller: Bool[Tensor, "unions groups"]  # disjoint unions of 1, 2, 4, ... groups
    thirds: Bool[Tensor, "splits 3 groups"]  # three disjoint unions of equally many groups

    @property
    def sizes(self) -> tuple[int, ...]:
        """Members of each group."""
        return tuple(map(len, self.members))


def member_groups(num_members: int, seed: int = 0) -> MemberGroups:
    """Draws the groups, and the unions of them.

    Args:
        num_members: M.
        seed: of the random draws.

    >>> member_groups(3).sizes, member_groups(40).sizes[:2], len(member_groups(40).smaller)
    ((1, 1, 1), (3, 3), 30)
    """
    rng = np.random.default_rng(seed)
    number = min(NUM_GROUPS, num_members)
    members = np.array_split(rng.permutation(num_members), number)
    smaller = np.zeros((0, number), dtype=bool)
    for size in (2**k for k in range(number) if 2**k < number):
        blocks = np.arange(number // size).repeat(size)
        rows = np.eye(number // size, dtype=bool)[:, blocks]
        rows = np.pad(rows, ((0, 0), (0, number - rows.shape[1])))
        if size > 1 or num_members > number:  # a single member has no variance
            smaller = np.concatenate([smaller, rows])
    third = number // 3
    thirds = np.zeros(
        (SPLITS_IN_THREE if third * num_members // number >= 2 else 0, 3, number), bool
    )
    for split in thirds:
        order = rng.permutation(number)
        for place, part in enumerate(split):
            part[order[place * third : (place + 1) * third]] = True
    return MemberGroups(
        tuple(tuple(group.tolist()) for group in members),
        torch.from_numpy(smaller),
        torch.from_numpy(thirds),
    )
