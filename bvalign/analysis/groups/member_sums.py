"""Sums over sets of members, per sample, that determine all values of these sets.

Symbols, for one sample with label y: q_m = |p_m - e_y| >= 0 has the entry 1 - p_my at the label and
p_mk elsewhere, so sums of it lose no digits. For a set S of m members with Q = sum_S q_m:

    bias_sq   ‖Q‖² / m²
    variance  (sum_S ‖q_m - c‖² - ‖Q - m c‖² / m) / m    for any c; here the mean q of all members

Sums of disjoint sets add up. The values are those of decompositions/, which are computed for all
members together and keep more digits; these serve for what a subset of the members would have said.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from bvalign.analysis.decompositions import log_softmax, residual
from bvalign.analysis.groups.member_groups import MemberGroups


class OddsSums(NamedTuple):
    """Sums over the members of each set, for which answers are right and for the log odds."""

    count: Float[Tensor, "sets 1"]  # members of the set
    magnitude: Float[Tensor, "sets samples classes"]  # Q
    powers: Float[Tensor, "sets samples powers"]  # sums of (L_m - mean L)^1, 2, 3, 4


class MemberSums(NamedTuple):
    """Sums over the members of each set; float64."""

    odds: OddsSums
    centred: Float[Tensor, "sets samples"]  # sum of ‖q_m - c‖²
    centred_at_label: Float[Tensor, "sets samples"]  # the entry y of the same
    square: Float[Tensor, "sets samples"]  # sum of ‖q_m‖²
    square_at_label: Float[Tensor, "sets samples"]
    uncertainty: Float[Tensor, "sets samples"]  # sum of 1 - ‖p_m‖²
    log_probs: Float[Tensor, "sets samples classes"]
    votes: Float[Tensor, "sets samples classes"]  # members that vote for each class


class Residuals(NamedTuple):
    """What members say of each sample, relative to its label."""

    probs: Float[Tensor, "members samples classes"]
    magnitude: Float[Tensor, "members samples classes"]  # q
    odds: Float[Tensor, "members samples"]  # L, log odds of a wrong answer, nats
    target: Int[Tensor, " samples"]

    @property
    def at(self) -> Int[Tensor, "members samples 1"]:
        """Labels, to gather by."""
        return self.target.expand(self.odds.shape).unsqueeze(-1)


Sums = TypeVar("Sums", OddsSums, MemberSums)


def residuals(
    probs: Float[Tensor, "members samples classes"], target: Int[Tensor, " samples"]
) -> Residuals:
    """The magnitudes of the residuals and the log odds; of `softmax`, float64."""
    at = target.expand(probs.shape[:2]).unsqueeze(-1)
    q = residual(probs, target).abs_()
    odds = q.gather(-1, at).log_() - probs.gather(-1, at).log_()
    return Residuals(probs, q, odds.squeeze(-1), target)


def odds_sums(given: Residuals, groups: MemberGroups) -> OddsSums:
    """Sums over each group of members."""
    centred = given.odds - given.odds.mean(dim=0)
    powers = torch.stack([centred**power for power in (1, 2, 3, 4)], dim=-1)
    count = torch.tensor(groups.sizes, dtype=torch.float64).unsqueeze(1)
    return OddsSums(count, *(_by_group(values, groups) for values in (given.magnitude, powers)))


def member_sums(
    logits: Float[Tensor, "members samples classes"], given: Residuals, groups: MemberGroups
) -> MemberSums:
    """Sums over each group of members.

    Args:
        logits: of all members.
        given: `residuals` of the same.
        groups: of the members.
    """
    q, probs, at = given.magnitude, given.probs, given.at
    own = probs.argmax(dim=-1, keepdim=True)
    largest, rest = probs.gather(-1, own).squeeze(-1), probs.scatter(-1, own, 0.0)
    # 1 - ‖p‖² = 2 r - r² - ‖rest‖² with r = 1 - max p, the sum of the rest
    r = torch.where(largest > 0.5, rest.sum(dim=-1), 1 - largest)
    deviation, squares = (q - q.mean(dim=0)).square_(), q.square()
    of_members = (
        deviation.sum(dim=-1),
        deviation.gather(-1, at).squeeze(-1),
        squares.sum(dim=-1),
        squares.gather(-1, at).squeeze(-1),
        2 * r - r.square() - rest.square_().sum(dim=-1),
        log_softmax(logits),
        torch.zeros_like(q).scatter_(-1, own, 1.0),
    )
    return MemberSums(odds_sums(given, groups), *(_by_group(v, groups) for v in of_members))


def leave_one_out(sums: Sums) -> Sums:
    """Sums over all sets but one, each in turn: sums of what is left, never a difference."""
    return _mapped(_all_but_one, sums)


def unite(sums: Sums, unions: Bool[Tensor, "unions sets"]) -> Sums:
    """Sums over unions of disjoint sets."""
    return _mapped(lambda v: _united(v, unions), sums)


def of_samples(sums: Sums, rows: Shaped[Tensor, " rows"]) -> Sums:
    """Sums of some samples."""
    return _mapped(lambda v: v if v.shape[1:] == (1,) else v[:, rows], sums)


def join(parts: Sequence[Sums]) -> Sums:
    """Sums of all sets of several collections."""
    first = parts[0]
    joined = (
        torch.cat(values) if isinstance(values[0], Tensor) else join(values)
        for values in zip(*parts, strict=True)
    )
    return type(first)(*joined)


def bias_and_variance(
    sums: MemberSums, mean: Float[Tensor, "samples classes"]
) -> tuple[Float[Tensor, "sets samples"], Float[Tensor, "sets samples"]]:
    """Plug-in squared bias and variance of each set.

    Args:
        sums: of the sets.
        mean: the mean c of all members' q.
    """
    count, magnitude, _ = sums.odds
    bias_sq = magnitude.square().sum(dim=-1) / count.square()
    shift = torch.addcmul(magnitude, count.unsqueeze(-1), mean, value=-1)
    variance = (sums.centred - shift.square_().sum(dim=-1) / count).clamp_(min=0) / count
    return bias_sq, variance


def is_correct(sums: OddsSums, target: Int[Tensor, " samples"]) -> Bool[Tensor, "sets samples"]:
    """Tells whether the mean probability of the label is the largest."""
    at = target.expand(sums.magnitude.shape[:2]).unsqueeze(-1)
    label = sums.count - sums.magnitude.gather(-1, at).squeeze(-1)
    return label > sums.magnitude.scatter(-1, at, 0.0).amax(dim=-1)


def _by_group(values: Float[Tensor, "members ..."], groups: MemberGroups) -> Tensor:
    return torch.stack([values[list(members)].sum(dim=0) for members in groups.members])


def _mapped(function: Callable[[Tensor], Tensor], sums: Sums) -> Sums:
    """Applies a function to every tensor of a NamedTuple, nested ones included."""
    parts = (function(v) if isinstance(v, Tensor) else _mapped(function, v) for v in sums)
    return type(sums)(*parts)


def _united(values: Float[Tensor, "sets ..."], unions: Bool[Tensor, "unions sets"]) -> Tensor:
    result = values.new_empty(len(unions), *values.shape[1:])
    for place, row in enumerate(unions):
        result[place] = values[row].sum(dim=0)
    return result


def _all_but_one(values: Float[Tensor, "sets ..."]) -> Float[Tensor, "sets ..."]:
    before, after = torch.zeros_like(values), torch.zeros_like(values)
    before[1:] = values[:-1].cumsum(dim=0)
    after[:-1] = values[1:].flip(0).cumsum(dim=0).flip(0)
    return before + after
