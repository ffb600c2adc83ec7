"""Bounds of the per-sample statistics that top-k logits leave open, by their names in samples.csv.

All but the votes of members, and what follows from them, depends on probabilities that are not kept
if only a little. Bounds hold for every logits of which these are the top-k ones, in floating point
too. What is fitted to many samples has none: slopes, influences, curves and decisions are those of
the logits that share the rest evenly, `top_k.dense`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import AnswerNoise, LabelNoise
from bvalign.analysis.groups import MemberGroups, left_out_variance
from bvalign.analysis.top_k.known import Known, known_of
from bvalign.analysis.top_k.logs import logs
from bvalign.analysis.top_k.prediction import Prediction, prediction
from bvalign.analysis.top_k.squared import (
    Bound,
    Relative,
    Squared,
    bias_sq_of,
    relative_to,
    squared,
    unknown_part,
    variance_of,
)
from bvalign.top_k import TopK

UNLABELLED = (
    *("confidence", "variance", "variance_unbiased", "uncertainty"),
    *("kl_variance", "kl_variance_jackknife"),
    *("risk_label_free", "risk_label_free_plug_in", "error_label_free"),
)
LABELLED = (
    *("correct", "bias_sq", "variance", "risk", "bias_sq_unbiased", "variance_unbiased"),
    *("log_bias_sq_error", "log_variance_error"),
    *("kl_risk", "kl_bias", "kl_variance", "kl_bias_jackknife", "kl_variance_jackknife"),
    *("gap", "uncertainty", "calibration_residual"),
    *("gap_unbiased", "calibration_residual_unbiased"),
)
OF_WEIGHTED = ("bias_sq", "variance", "risk", "correct")
OF_WEIGHTED = (*OF_WEIGHTED, "variance_unbiased", "bias_sq_unbiased", "bias_sq_pairs")
WEIGHTED = tuple(f"weighted_{name}" for name in OF_WEIGHTED)
LEAST_GROUPS = 3


class Bounds(NamedTuple):
    """Bounds of a range of samples or, once joined, of all samples; in the order of the names."""

    low: Float[Tensor, "statistics samples"]
    high: Float[Tensor, "statistics samples"]
    undecided: Int[Tensor, ""]  # samples whose prediction depends on what is not kept
    label_outside: Int[Tensor, ""]  # samples whose label some member does not keep


class OfRange(NamedTuple):
    """What a range of labelled samples brings beside its logits."""

    target: Int[Tensor, " samples"]
    soft: Float[Tensor, "samples classes"] | None  # labels whose argmax is the target
    noise: tuple[LabelNoise, AnswerNoise | None] | None  # of them
    correct: tuple[Bool[Tensor, " samples"], Bool[Tensor, " samples"] | None]  # also weighted
    member_weights: Sequence[float] | None

    @property
    def label_noise(self) -> Float[Tensor, " samples"] | float:
        """1 - ‖q‖²."""
        return 0.0 if self.noise is None else self.noise[0].noise

    @property
    def excess(self) -> Float[Tensor, " samples"] | float:
        """What the people behind a label take off unbiased values."""
        people = None if self.noise is None else self.noise[1]
        return 0.0 if people is None else people.excess


def labelled_bounds(top: TopK, given: OfRange, groups: MemberGroups) -> Bounds:
    """Bounds in the order of `LABELLED`, then `WEIGHTED` with weights."""
    classes, label = _label(given)
    known = known_of(top, classes)
    number, relative = len(top.logits), relative_to(known, label)
    weights = top.rest.new_full((number,), 1 / number, dtype=torch.float64)
    values, found = squared(known, relative, weights), prediction(known, weights)
    kl, noise = logs(known, label), given.label_noise
    uncertainty = _uncertainty(known, weights)
    fewer = (number - 1) / number
    unbiased = _scaled(values.variance, fewer)
    pairs = _plus(_scaled(values.pairs, fewer), -given.excess)
    twice = values.bias_sq.scaled(2.0)
    # bias_sq - variance, in which what the two have in common is taken off
    gap = twice.plus(values.square, -1.0).both(values.bias_sq.plus(values.variance, -1.0))
    gap = gap.outward(twice.high)
    residual = _calibration(relative, weights, known, values)
    excess = 2 / number
    bounds = [
        _correct(given.correct[0], found),
        *(values.bias_sq, values.variance, _plus(values.square, noise), pairs, unbiased),
        *_log_errors(known, relative, groups, values.variance.high),
        *kl,
        *(_plus(gap, noise), uncertainty, residual),
        *(_plus(gap, noise).plus(unbiased, -excess), residual.plus(unbiased, -excess)),
    ]
    if given.member_weights is not None:
        bounds += _weighted(known, relative, given)
    outside = known.unknown.gather(-1, known.asked[:, :1].expand(number, -1, 1)).any(dim=0)
    return _joined(bounds, found, outside)


def unlabelled_bounds(top: TopK) -> Bounds:
    """Bounds in the order of `UNLABELLED`."""
    num_members, num_samples, _ = top.logits.shape
    known = known_of(top, top.indices[0, :, :1].long())
    weights = top.rest.new_full((num_members,), 1 / num_members, dtype=torch.float64)
    found, room = prediction(known, weights), unknown_part(known, weights)
    variance, uncertainty = variance_of(known, weights, room), _uncertainty(known, weights)
    unbiased = _scaled(variance, (num_members - 1) / num_members)
    kl = logs(known, None)
    bounds = [
        *(found.confidence, variance, unbiased, uncertainty),
        *(kl.kl_variance, kl.kl_variance_jackknife),
        *(uncertainty.plus(unbiased, 2.0), uncertainty.plus(variance, 2.0), found.error),
    ]
    return _joined(bounds, found, torch.zeros(num_samples, dtype=torch.bool))


def _label(given: OfRange) -> tuple[Int[Tensor, "samples asked"], Float[Tensor, "samples asked"]]:
    """Classes that the labels have, the most probable first, with their probabilities."""
    target = given.target.unsqueeze(-1)
    if given.soft is None:
        return target, torch.ones_like(target, dtype=torch.float64)
    others = given.soft.scatter(-1, target, 0.0)
    number = int((others > 0).sum(dim=-1).max())
    probs, classes = others.topk(number, dim=-1)
    # a class without probability may be the target, which must not come twice
    classes = torch.where(probs > 0, classes, target)
    first = given.soft.gather(-1, target)
    return torch.cat([target, classes], dim=-1), torch.cat([first, probs], dim=-1)


def _uncertainty(known: Known, weights: Float[Tensor, " members"]) -> Bound:
    least, largest = known.squares_of_rest
    low, high = known.uncertainty - largest, known.uncertainty - least
    mean = (weights.unsqueeze(-1) * end for end in (low.clamp(min=0), high))
    return Bound(*(end.sum(dim=0) for end in mean)).outward(known.uncertainty.amax(dim=0))


def _calibration(
    relative: Relative, weights: Float[Tensor, " members"], known: Known, values: Squared
) -> Bound:
    """Of 2 <p̄, p̄ - q> = 2 bias_sq + 2 <q, p̄ - q>."""
    h = (weights.view(-1, 1, 1) * relative.members).sum(dim=0)
    low = (relative.label * h).sum(dim=-1)
    room = unknown_part(known, weights).limit[:, :-1]
    product = Bound(low, low + (relative.label * room).sum(dim=-1))
    return values.bias_sq.plus(product).scaled(2.0).outward(low.abs() + values.bias_sq.high)


def _log_errors(
    known: Known, relative: Relative, groups: MemberGroups, variance: Float[Tensor, " samples"]
) -> tuple[Bound, Bound]:
    """Of jackknife errors over members of log bias_sq and log variance.

    The error is a norm of the values without each group, less their mean. Where each may be off its
    middle by d_g, the norm of these d is the most by which the error can differ.
    """
    number = len(known.probs)
    ends: tuple[list[Bound], list[Bound]] = ([], [])
    for members in groups.members if len(groups.members) >= LEAST_GROUPS else ():
        weights = known.rest.new_full((number,), 1 / (number - len(members)))
        weights[list(members)] = 0.0
        room = unknown_part(known, weights)
        ends[0].append(bias_sq_of(relative, weights, room))
        ends[1].append(variance_of(known, weights, room).outward(variance))
    nan = torch.full_like(known.rest[0], torch.nan)
    return tuple(_error(found) if found else Bound(nan, nan) for found in ends)


def _error(values: list[Bound]) -> Bound:
    low, high = (torch.stack(ends).clamp(min=0).log() for ends in zip(*values, strict=True))
    middle, half = (low + high) / 2, (high - low) / 2
    error = left_out_variance(middle).sqrt()
    off = half.norm(dim=0) * ((len(values) - 1) / len(values)) ** 0.5
    open_ended = ~(middle.isfinite().all(dim=0))
    low = (error - off).clamp(min=0).masked_fill(open_ended, 0.0)
    return Bound(low, (error + off).masked_fill(open_ended, torch.inf)).outward(1.0)


def _weighted(known: Known, relative: Relative, given: OfRange) -> list[Bound]:
    weights = torch.tensor(given.member_weights).double()
    weights /= weights.sum()
    values, found = squared(known, relative, weights), prediction(known, weights)
    distinct = float(1 - weights.square().sum())
    unbiased = _scaled(values.variance, distinct)
    both = values.bias_sq.plus(unbiased, distinct - 1).outward(values.bias_sq.high)
    return [
        *(values.bias_sq, values.variance, _plus(values.square, given.label_noise)),
        _correct(given.correct[1], found),
        *(unbiased, _plus(both, -given.excess)),
        _plus(_scaled(values.pairs, distinct), -given.excess),
    ]


def _correct(correct: Bool[Tensor, " samples"], found: Prediction) -> Bound:
    """1 or 0 where the prediction is certain, else what it may be."""
    value, decided = correct.double(), found.decided
    return Bound(
        value.where(decided, 0.0),
        value.where(decided, torch.maximum(value, found.label_may_win.double())),
    )


def _scaled(bound: Bound, divisor: float) -> Bound:
    return bound.scaled(1 / divisor if divisor > 0 else torch.nan)


def _plus(bound: Bound, number: Tensor | float) -> Bound:
    return Bound(bound.low + number, bound.high + number)


def _joined(bounds: list[Bound], found: Prediction, outside: Bool[Tensor, "..."]) -> Bounds:
    low, high = (torch.stack(ends) for ends in zip(*bounds, strict=True))
    return Bounds(low, high, (~found.decided).sum(), outside.sum())
