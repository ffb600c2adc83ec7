"""Sums over sets of members, per sample, that determine all values of these sets.

Symbols, for one sample with label y: q_m = |p_m - e_y| >= 0 has the entry 1 - p_my at the label and
p_mk elsewhere, so sums of it lose no digits. For a set S of m members with Q = sum_S q_m:

    bias_sq   ‖Q‖² / m²
    variance  (sum_S ‖q_m - c‖² - ‖Q - m c‖² / m) / m    for any c; here the mean q of all members

With soft labels u = |q - e_y|, which is zero for a class id, is taken off: bias_sq is ‖Q/m - u‖².
Sums of disjoint sets add up. The values are those of decompositions/, which are computed for all
members together and keep more digits; these serve for what a subset of the members would have said.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import MemberProbs, SoftLabels, residual
from bvalign.analysis.groups.member_groups import MemberGroups

ROUNDING = 1e-14
"""Error of a difference of two sums of squares, relative to either."""


class Residuals(NamedTuple):
    """What members say of each sample, relative to its label."""

    probs: Float[Tensor, "members samples classes"]
    magnitude: Float[Tensor, "members samples classes"]  # q
    mean: Float[Tensor, "samples classes"]  # c, the mean q
    odds: Float[Tensor, "members samples"]  # L, log odds of a wrong answer, nats
    target: Int[Tensor, " samples"]
    offset: Float[Tensor, "samples classes"] | None = None  # u of soft labels


class MemberSums(NamedTuple):
    """Sums over the members of each set; float64."""

    count: Float[Tensor, "sets 1"]  # members of the set
    magnitude: Float[Tensor, "sets samples classes"]  # Q
    centred: Float[Tensor, "sets samples"]  # sum of ‖q_m - c‖²
    centred_at_label: Float[Tensor, "sets samples"]  # the entry y of the same
    square: Float[Tensor, "sets samples"]  # sum of ‖q_m - u‖²
    square_at_label: Float[Tensor, "sets samples"]
    powers: Float[Tensor, "sets samples powers"]  # sums of (L_m - mean L)^1, 2, 3, 4


class LossSums(NamedTuple):
    """Further sums over the members of each set, for the other losses."""

    uncertainty: Float[Tensor, "sets samples"]  # sum of 1 - ‖p_m‖²
    log_probs: Float[Tensor, "sets samples classes"]
    votes: Float[Tensor, "sets samples classes"]  # members that vote for each class


class SetValues(NamedTuple):
    """Values of each set that need a look at all classes, beside its other sums."""

    sums: MemberSums
    square_of_sum: Float[Tensor, "sets samples"]  # ‖Q - m u‖²
    label: Float[Tensor, "sets samples"]  # Q_y
    runner_up: Float[Tensor, "sets samples"]  # largest Q_k of the other classes
    shift: Float[Tensor, "sets samples"]  # ‖Q - m c‖²
    shift_at_label: Float[Tensor, "sets samples"]  # the entry y of the same

    @property
    def bias_sq(self) -> Float[Tensor, "sets samples"]:
        """Plug-in squared bias."""
        return self.square_of_sum / self.sums.count.square()

    @property
    def variance(self) -> Float[Tensor, "sets samples"]:
        """Plug-in variance."""
        centred = self.sums.centred - self.shift / self.sums.count
        # what is left of members that agree, where others do not, is rounding
        centred[centred < ROUNDING * self.sums.centred] = 0
        return centred / self.sums.count

    @property
    def correct(self) -> Bool[Tensor, "sets samples"]:
        """Whether the mean probability of the label is the largest."""
        return self.sums.count - self.label > self.runner_up

    @property
    def largest(self) -> Float[Tensor, "sets samples"]:
        """Largest mean probability."""
        return torch.maximum(self.sums.count - self.label, self.runner_up) / self.sums.count


Sums = TypeVar("Sums", bound=tuple)


def residuals(
    probs: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    labels: SoftLabels | None = None,
) -> Residuals:
    """The magnitudes of the residuals and the log odds; of `softmax`, float64."""
    at = target.expand(probs.shape[:2]).unsqueeze(-1)
    q = residual(probs, target).abs_()
    odds = q.gather(-1, at).log_() - probs.gather(-1, at).log_()
    offset = None if labels is None else labels.offset.abs()
    return Residuals(probs, q, q.mean(dim=0), odds.squeeze(-1), target, offset)


def member_sums(given: Residuals, groups: MemberGroups) -> MemberSums:
    """Sums over each group of members."""
    q, at = given.magnitude, given.target.expand(given.odds.shape).unsqueeze(-1)
    to_label = q if given.offset is None else q - given.offset
    squares, centred = to_label.square(), given.odds - given.odds.mean(dim=0)
    square, square_at_label = squares.sum(dim=-1), squares.gather(-1, at).squeeze(-1)
    deviation = torch.sub(q, given.mean, out=squares).square_()
    of_members = (
        q,
        deviation.sum(dim=-1),
        deviation.gather(-1, at).squeeze(-1),
        square,
        square_at_label,
        torch.stack([centred, centred**2, centred**3, centred**4], dim=-1),
    )
    count = torch.tensor(groups.sizes, dtype=torch.float64).unsqueeze(1)
    return MemberSums(count, *(by_group(values, groups) for values in of_members))


def loss_sums(given: MemberProbs, groups: MemberGroups) -> LossSums:
    """Sums over each group of members."""
    of_members = (given.uncertainty, given.log_probs)
    votes = given.votes.unsqueeze(-1)
    counts = given.probs.new_zeros(len(groups.members), *given.probs.shape[1:])
    for count, members in zip(counts, groups.members, strict=True):
        for member in members:
            count.scatter_add_(-1, votes[member], torch.ones_like(count[:, :1]))
    return LossSums(*(by_group(values, groups) for values in of_members), counts)


def by_group(values: Float[Tensor, "members ..."], groups: MemberGroups) -> Tensor:
    """Sums over the members of each group."""
    result = values.new_empty(len(groups.members), *values.shape[1:])
    for place, members in enumerate(groups.members):
        _total(values, members, result[place])
    return result


def leave_one_out(sums: Sums) -> Sums:
    """Sums over all sets but one, each in turn: sums of what is left, never a difference."""
    return _mapped(_all_but_one, sums)


def unite(sums: Sums, unions: Bool[Tensor, "unions sets"]) -> Sums:
    """Sums over unions of disjoint sets; NaN where a value of any set is infinite."""
    chosen = unions.double()

    def united(values: Tensor) -> Tensor:
        return (chosen @ values.flatten(1)).reshape(len(chosen), *values.shape[1:])

    return _mapped(united, sums)


def set_values(sums: MemberSums, given: Residuals) -> SetValues:
    """Values of each set.

    Args:
        sums: of the sets.
        given: residuals of all members on the same samples.
    """
    at = given.target.expand(sums.magnitude.shape[:2]).unsqueeze(-1)
    label = sums.magnitude.gather(-1, at)
    count = sums.count.unsqueeze(-1)
    to_label = sums.magnitude if given.offset is None else sums.magnitude - count * given.offset
    square_of_sum = to_label.square().sum(dim=-1)
    shift = torch.addcmul(sums.magnitude, count, given.mean, value=-1).square_()
    at_label = shift.gather(-1, at).squeeze(-1)
    total = shift.sum(dim=-1)
    others = shift.copy_(sums.magnitude).scatter_(-1, at, 0.0)
    return SetValues(sums, square_of_sum, label.squeeze(-1), others.amax(dim=-1), total, at_label)


def of_sets(values: SetValues, sets: slice | Int[Tensor, " some"]) -> SetValues:
    """Values of some sets, without the sums over classes."""
    return _mapped(lambda part: part[sets], values)


def of_samples(given: Residuals, rows: Int[Tensor, " rows"]) -> Residuals:
    """Residuals of some samples."""
    if len(rows) == len(given.target):
        return given
    probs, magnitude, mean, odds, target, offset = given
    offset = None if offset is None else offset[rows]
    members = (probs[:, rows], magnitude[:, rows])
    return Residuals(*members, mean[rows], odds[:, rows], target[rows], offset)


def _mapped(function: Callable[[Tensor], Tensor], parts: tuple) -> tuple:
    """Applies a function to every tensor of a NamedTuple, nested ones included."""
    mapped = (function(v) if isinstance(v, Tensor) else _mapped(function, v) for v in parts)
    return type(parts)(*mapped)


def _total(values: Tensor, rows: list[int] | tuple[int, ...], out: Tensor) -> None:
    """Adds up some entries of the first axis, one by one: faster than to copy them together."""
    out.copy_(values[rows[0]])
    for row in rows[1:]:
        out += values[row]


def _all_but_one(values: Float[Tensor, "sets ..."]) -> Float[Tensor, "sets ..."]:
    """A set lacks itself in its pair with the next one, and that pair among the pairs."""
    if len(values) == 1:
        return torch.zeros_like(values)
    last = len(values) // 2 * 2
    even, odd, rest = values[:last:2], values[1:last:2], values[last:]
    without = _all_but_one(torch.cat([even + odd, rest]))
    result = torch.empty_like(values)
    torch.add(without[: len(even)], odd, out=result[:last:2])
    torch.add(without[: len(even)], even, out=result[1:last:2])
    result[last:] = without[len(even) :]
    return result
