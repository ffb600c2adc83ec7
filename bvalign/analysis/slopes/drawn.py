"""The first pass: what some drawn samples say of the noise and of smaller ensembles.

Sets of members are, in this order
everywhere: all of them, all without each group, and the smaller ensembles of `MemberGroups`.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.collect import Range, collect, side_by_side
from bvalign.analysis.decompositions import SoftLabels, soft_labels_of, softmax
from bvalign.analysis.groups import (
    MemberGroups,
    MemberSums,
    Residuals,
    leave_one_out,
    member_sums,
    of_samples,
    of_sets,
    residuals,
    set_values,
    unite,
)
from bvalign.analysis.sizes import SetLosses, Unions, set_losses, unions
from bvalign.analysis.slopes.logit_values import has_spread, odds_values
from bvalign.analysis.slopes.smaller import Parts, Smaller, parts, smaller

LEAST_MEMBERS = 3
"""Fewest members with a variance when one is left out."""


class OddsBlock(NamedTuple):
    """Log odds of each set on the drawn samples, nats; zero where a set cannot be asked."""

    mu: Float[Tensor, "sets drawn"]
    second: Float[Tensor, "sets drawn"]  # central sums over the members
    third: Float[Tensor, "sets drawn"]
    fourth: Float[Tensor, "sets drawn"]
    usable: Bool[Tensor, "sets drawn"]
    bias_share: Float[Tensor, "ensembles drawn"]  # of the smaller ensembles
    variance_share: Float[Tensor, "ensembles drawn"]


class DrawnBlock(NamedTuple):
    """Values of the drawn samples."""

    odds: OddsBlock | None  # None with fewer than three members, or soft labels
    parts: Parts
    smaller: Smaller  # the smaller ensembles, and all members (last)
    losses: SetLosses  # of the unions of groups that curves over M go through


def read_drawn(
    ranges: Iterable[Range],
    num_ranges: int,
    groups: MemberGroups,
    positions: Int[Tensor, " drawn"],
) -> DrawnBlock:
    """Reads the drawn samples.

    Args:
        ranges: those that contain any of them, in order.
        num_ranges: their number.
        groups: of the members.
        positions: of the drawn samples among all.
    """
    sets = unions(groups)

    def compute(part: Range) -> DrawnBlock:
        rows = part.rows(positions)
        labels = None if part.soft is None else soft_labels_of(part.soft[rows])
        probs, target = softmax(part.logits[:, rows]), part.target[rows]
        return drawn_block(residuals(probs, target, labels), groups, sets, labels)

    return collect(side_by_side(compute, ranges), num_ranges, {"drawn": positions})


def drawn_block(
    given: Residuals, groups: MemberGroups, sets: Unions, labels: SoftLabels | None = None
) -> DrawnBlock:
    """Values of some samples, for every set of members."""
    by_group = member_sums(given, groups)
    few = torch.arange(1 + len(groups.members), len(set_sizes(groups)))
    values = set_values(sets_of(by_group, groups), given)
    odds = None
    if sum(groups.sizes) >= LEAST_MEMBERS and given.offset is None:
        kept = torch.nonzero(has_spread(given.odds)).flatten()
        some = of_samples(given, kept)
        if len(kept) < len(given.target):
            values_kept = set_values(sets_of(member_sums(some, groups), groups), some)
        else:
            values_kept = values
        odds = _odds_block(values_kept, some, kept, len(given.target), few)
    ensembles = torch.cat([few, torch.zeros(1, dtype=torch.int64)])
    return DrawnBlock(
        odds,
        parts(by_group, given, groups),
        smaller(of_sets(values, ensembles)),
        set_losses(by_group, given, labels, groups, sets),
    )


def sets_of(by_group: MemberSums, groups: MemberGroups) -> MemberSums:
    """Sums of every set, from those of the groups."""
    whole = torch.ones(1, len(groups.members), dtype=torch.bool)
    several = [unite(by_group, whole), leave_one_out(by_group), unite(by_group, groups.smaller)]
    return MemberSums(*(torch.cat(values) for values in zip(*several, strict=True)))


def set_sizes(groups: MemberGroups) -> Int[Tensor, " sets"]:
    """Members of every set."""
    sizes = torch.tensor(groups.sizes)
    return torch.cat([sizes.sum().unsqueeze(0), sizes.sum() - sizes, groups.smaller.long() @ sizes])


def _odds_block(
    values: object, some: Residuals, kept: Tensor, number: int, few: Int[Tensor, " ensembles"]
) -> OddsBlock:
    found = odds_values(values, some.odds.mean(dim=0))

    def placed(part: Tensor) -> Tensor:
        result = part.new_zeros(len(part), number)
        result[:, kept] = part
        return result

    shares = (found.bias_share[few], found.variance_share[few])
    return OddsBlock(*map(placed, (found.odds.mu, *found.sums, found.usable, *shares)))
