"""Bounds of the squared loss from top-k logits, for one set of weighted members.

Symbols, for one sample: s_m the weight of member m, adding up to one; r_m = p_m - q its residual to
the label q; R_m the part of it that is known, which is -q_k for a class k that m does not keep, and
x_mk >= 0 the probability of such a class, so that r_m = R_m + x_m. With h = sum_m s_m R_m, u the
mean of x_m and T_m = ‖x_m‖², which `Known.squares_of_rest` bounds:

    bias_sq  ‖h + u‖² = ‖h‖² + growth, see `extremes.py`
    square   sum_m s_m ‖r_m‖² = sum_m s_m (‖R_m‖² + 2 <R_m, x_m> + T_m), -q_k <= R_mk <= 0 where
             x_mk is not zero
    variance sum_m s_m ‖p_m‖² - ‖p̄‖², and with g the known part of p̄ and v_k the variance of the
             known parts of class k,
             at most   sum_k v_k + sum_m s_m T_m - (least growth of ‖g + u‖²), and at most
             sum_k v_k + sum_m s_m (1 - s_m) T_m - (least 2 <g, u>), as u_k² >= sum_m s_m² x_mk²
             at least  sum_k min over u of v_k - 2 g_k u + u² (1/W_k - 1), as the members that do
             not keep k, of weight W_k, have sum s_m x_mk² >= u_k² / W_k (Cauchy-Schwarz); and at
             least the upper bound with least for largest and largest for least
    pairs    sum over m != m' of s_m s_m' <r_m, r_m'>: that of R, plus at most <w, u> with
             w = 2h + 2 q max s + c (1 - 1/n), n the members that do not keep k; at least <2h, u>,
             and the least bias_sq - sum_m s_m² ‖r_m‖²

Classes that all members keep are exact. The label is among them where it is always kept.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import pair_products, residual
from bvalign.analysis.top_k.extremes import (
    Unknown,
    largest_growth,
    largest_product,
    least_growth,
)
from bvalign.analysis.top_k.known import Known

ROUNDING = 2.0**-43
"""Relative error of what is computed: `rest`, of size up to a thousand, is itself rounded."""

UNIT = 2.0**-50


class Bound(NamedTuple):
    """Ends between which a value lies."""

    low: Float[Tensor, " samples"]
    high: Float[Tensor, " samples"]

    def scaled(self, factor: float) -> "Bound":
        """Bounds of the value times a number >= 0."""
        return Bound(self.low * factor, self.high * factor)

    def plus(self, other: "Bound", factor: float = 1.0) -> "Bound":
        """Bounds of the value plus a multiple of another one."""
        ends = (other.low * factor, other.high * factor)
        low, high = ends if factor >= 0 else ends[::-1]
        return Bound(self.low + low, self.high + high)

    def outward(self, scale: Tensor | float = 0.0) -> "Bound":
        """Room for the rounding of each end, or of something larger behind it, `scale`."""
        least = torch.as_tensor(scale, dtype=self.low.dtype)
        low, high = (ROUNDING * torch.maximum(end.abs(), least) for end in self)
        return Bound(self.low - low, self.high + high)

    def both(self, other: "Bound") -> "Bound":
        """The values that both allow."""
        return Bound(torch.maximum(self.low, other.low), torch.minimum(self.high, other.high))


class Squared(NamedTuple):
    """Bounds of the squared loss, without the noise of soft labels."""

    bias_sq: Bound
    variance: Bound
    square: Bound
    pairs: Bound


class Relative(NamedTuple):
    """Known parts of the residuals to a label."""

    members: Float[Tensor, "members samples some"]  # R
    label: Float[Tensor, "samples some"]  # q, in the columns of `Known`


def relative_to(known: Known, label: Float[Tensor, "samples asked"]) -> Relative:
    """Residuals of the probabilities that are known.

    Args:
        known: with the label, or all classes that soft ones have, among `asked`; the first is its
            most probable class.
        label: probabilities of those classes.
    """
    at, q = known.asked[:, 0], known.probs.new_zeros(known.probs.shape[1:])
    q = q.scatter_add(-1, known.asked, label)
    members = _residual(known, at)  # to class `at` alone
    offset = q.scatter_add(-1, at.unsqueeze(-1), -torch.ones_like(label[:, :1]))
    return Relative(members - offset if offset.any() else members, q)


def squared(known: Known, relative: Relative, weights: Float[Tensor, " members"]) -> Squared:
    """Bounds for members of these weights, which add up to one."""
    s, residuals, room = weights.view(-1, 1, 1), relative.members, unknown_part(known, weights)
    bias_sq = bias_sq_of(relative, weights, room)
    least, largest = known.squares_of_rest
    squares = residuals.square().sum(dim=-1)
    missed = torch.where(known.unknown, residuals, 0.0)  # -q of classes that are not kept
    cross = torch.maximum(missed.sum(dim=-1) * known.limit, missed.amin(dim=-1) * known.rest)
    of_members = Bound((squares + 2 * cross + least).clamp(min=0), squares + largest)
    square, each = (_mean(of_members, w) for w in (weights, weights.square()))
    none = known.unknown.sum(dim=0).clamp(min=1).double()
    several = _with_outside(1 - 1 / none, 1 - 1 / len(weights))
    h, label = (_with_outside(v, 0.0) for v in ((s * residuals).sum(dim=0), relative.label))
    weight = 2 * h + 2 * label * weights.max() + room.limit * several
    halves = 2 * pair_products(s * residuals)
    pairs = Bound(
        torch.maximum(halves - largest_product(-2 * h, room), bias_sq.low - each.high),
        halves + largest_product(weight, room),
    )
    variance = variance_of(known, weights, room)
    return Squared(bias_sq, variance, square.outward(square.high), pairs.outward(halves.abs()))


def bias_sq_of(relative: Relative, weights: Float[Tensor, " members"], room: Unknown) -> Bound:
    """Bounds of ‖p̄ - q‖²."""
    h = _with_outside((weights.view(-1, 1, 1) * relative.members).sum(dim=0), 0.0)
    start = h.square().sum(dim=-1)
    found = Bound(start + least_growth(h, room), start + largest_growth(h, room))
    return Bound(found.low.clamp(min=0), found.high).outward(start)


def unknown_part(known: Known, weights: Float[Tensor, " members"]) -> Unknown:
    """What is known of the unknown parts of the mean probabilities; last, of classes outside."""
    limits = weights.unsqueeze(-1) * known.limit
    limit = (known.unknown * limits.unsqueeze(-1)).sum(dim=0)
    outside = limits.sum(dim=0).unsqueeze(-1)
    number = torch.cat([torch.ones_like(limit), known.outside.unsqueeze(-1)], dim=-1)
    total = (weights.unsqueeze(-1) * known.rest).sum(dim=0)
    return Unknown(torch.cat([limit, outside], dim=-1), number, total)


def variance_of(known: Known, weights: Float[Tensor, " members"], room: Unknown) -> Bound:
    """Bounds of the variance of the members."""
    s = weights.view(-1, 1, 1)
    g = (s * known.probs).sum(dim=0)
    by_all = torch.where(known.unknown.any(dim=0), 0.0, g)
    most, at = by_all.max(dim=-1, keepdim=True)  # residuals to it preserve digits
    p = torch.where(most > 0.5, _residual(known, at.squeeze(-1)), known.probs)
    v = (s * (p - (s * p).sum(dim=0)).square()).sum(dim=0)
    missing = (s * known.unknown).sum(dim=0)  # W
    curve = (1 - missing) / missing.clamp(min=UNIT)
    u = torch.minimum(g / curve.clamp(min=UNIT), room.limit[:, :-1])
    lower = (v + u * (u * curve - 2 * g)).clamp(min=0).sum(dim=-1)
    start, (least, largest) = v.sum(dim=-1), known.squares_of_rest
    squares = _mean(Bound(least, largest), weights)
    mean = _with_outside(g, 0.0)
    also = start + squares.low - largest_growth(mean, room)
    upper = start + squares.high - least_growth(mean, room)
    apart = _mean(Bound(least, largest), weights * (1 - weights)).high
    upper = torch.minimum(upper, start + apart + largest_product(-2 * mean, room))
    size = start + squares.high
    entries = UNIT**2 * (s * p.square()).sum(dim=0).sum(dim=-1)  # squares of their rounding
    found = Bound(torch.maximum(lower, also).clamp(min=0), upper.clamp(min=0))
    return found.outward(size + ((size * entries).sqrt() + entries) / ROUNDING)


def _residual(known: Known, at: Int[Tensor, " samples"]) -> Float[Tensor, "members samples some"]:
    """Known probabilities less one at a class: there, minus the others and the rest."""
    found = residual(known.probs, at)
    place = at.expand(known.rest.shape).unsqueeze(-1)
    return found.scatter_add(-1, place, -known.rest.unsqueeze(-1))


def _mean(bound: Bound, weights: Float[Tensor, " members"]) -> Bound:
    """Weighted sums over members of bounds (members, samples)."""
    return Bound(*((weights.unsqueeze(-1) * end).sum(dim=0) for end in bound))


def _with_outside(values: Float[Tensor, "samples some"], outside: float) -> Tensor:
    """The same with a column for the classes outside."""
    return torch.cat([values, values.new_full((len(values), 1), outside)], dim=-1)
