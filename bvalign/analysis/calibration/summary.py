"""Calibration of one ensemble: errors, the gap, disagreement, temperature."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.calibration.disagreement import DisagreementEquality, equality
from bvalign.analysis.calibration.errors import (
    Binning,
    Cells,
    calibration_error,
    canonical,
    class_aggregated,
    class_wise,
    confidence,
    confidence_cells,
    equal_mass,
    equal_width,
    squared_influence,
    top_label,
)
from bvalign.analysis.calibration.gap import Gap, GapBounds, gap_bounds
from bvalign.analysis.calibration.temperature import fit_temperature, temperature_effect
from bvalign.analysis.decompositions import Decomposition, ZeroOne, softmax
from bvalign.analysis.groups import (
    MemberGroups,
    MemberPart,
    Statistics,
    leave_one_out,
    left_out,
    left_out_sums,
    left_out_variance,
    loss_sums,
    member_sums,
    residuals,
    set_values,
)
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance

NOTIONS = {
    "confidence": confidence,
    "top_label": top_label,
    "class_wise": class_wise,
    "class_aggregated": class_aggregated,
    "canonical": canonical,
}
OF_CONFIDENCE = ("confidence", "top_label")
"""Notions that need no more of the probabilities than the largest one."""

BINNINGS = {"equal_width": equal_width, "equal_mass": equal_mass}
TOO_HIGH = "too high by noise, which no interval covers: quote squared_debiased"
ALL_CLASSES = (
    "over samples alone: it needs all classes' probabilities without each group of members"
)


class MeanProbs(NamedTuple):
    """Mean probabilities of some samples, and their confidence without each group of members."""

    target: Int[Tensor, " binned"]
    whole: Float[Tensor, "binned classes"]
    confidence: Float[Tensor, "groups binned"]  # largest mean probability
    predicted: Int[Tensor, "groups binned"]  # its class


class ErrorEstimates(NamedTuple):
    """Calibration error under one notion, as `errors.CalibrationError`."""

    absolute: Estimate
    squared_debiased: Estimate
    alone: float


class Temperature(NamedTuple):
    """Temperature scaling fitted on one half of some test samples and evaluated on the other."""

    temperature: float | None  # None where it is undefined; `reason` says why
    num_samples: int  # in each half
    effect: dict[str, dict[str, Estimate]] | None = None  # before, after, change -> field of Gap
    reason: str | None = None


class Calibration(NamedTuple):
    """Calibration of the mean probabilities of all members."""

    errors: dict[str, dict[str, ErrorEstimates]]  # binning -> notion -> error
    reliability: Cells  # of confidence, 15 bins of equal width
    num_samples: int  # behind errors, reliability and bounds
    gap: dict[str, Estimate]  # fields of Gap
    bounds: GapBounds
    hard_equality: dict[str, Estimate]  # fields of DisagreementEquality
    soft_equality: dict[str, Estimate]
    temperature: Temperature


def calibrate(probs: MeanProbs, clusters: Int[Tensor, " binned"] | None) -> dict[str, object]:
    """Computes the fields of `Calibration` that come from binned mean probabilities.

    Args:
        probs: of the samples that are binned.
        clusters: of the same; None if they are independent.
    """
    errors = {
        binning: {notion: _error(probs, notion, bins, clusters) for notion in NOTIONS}
        for binning, bins in BINNINGS.items()
    }
    return {
        "errors": errors,
        "reliability": confidence(probs.whole, probs.target),
        "num_samples": len(probs.target),
        "bounds": gap_bounds(probs.whole, probs.target),
    }


def compare_means(
    gap: Gap,
    votes: ZeroOne,
    values: Decomposition,
    soft_error: Float[Tensor, " samples"],
    members: MemberPart,
) -> dict[str, dict[str, Estimate]]:
    """Computes the fields of `Calibration` that are means over all samples.

    Args:
        gap: of all samples.
        votes: 0-1 values.
        values: squared loss.
        soft_error: 1 - p̄_y.
        members: what members add to the spread of a mean.
    """
    pairs = (votes.count - 1) / votes.count
    # a single member never disagrees with itself
    plug_in = torch.where(votes.count > 1, votes.disagreement * pairs, 0.0)
    hard = equality(votes.error_rate, votes.disagreement, plug_in)
    soft = equality(
        soft_error, gap.uncertainty + values.variance_unbiased, gap.uncertainty + values.variance
    )
    return {
        "gap": members.means(gap._asdict()),
        "hard_equality": _equality_means(hard, "hard", members),
        "soft_equality": _equality_means(soft, "soft", members),
    }


def temperature(
    logits: Float[Tensor, "members chosen classes"],
    target: Int[Tensor, " chosen"],
    groups: MemberGroups,
) -> Temperature:
    """Fits a temperature on a random half of some samples, and measures it on the other.

    Args:
        logits: of all members.
        target: class ids.
        groups: of the members.
    """
    half = len(target) // 2
    if half < 5 or not logits.isfinite().all():
        return Temperature(None, half, reason="needs ten samples with finite logits")
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(target)))
    fit, judge = order[:half], order[half : 2 * half]
    try:
        found = fit_temperature(logits[:, fit], target[fit])
    except ValueError as error:
        return Temperature(None, half, reason=str(error))
    logits, target = logits[:, judge].double(), target[judge]
    effect = temperature_effect(logits, target, found)
    before, after = (_left_out(scaled, target, groups) for scaled in (logits, logits / found))
    change = [new - old for new, old in zip(after, before, strict=True)]
    means = {
        name: MemberPart(Statistics._fields, left_out_sums(without), half).means(gap._asdict())
        for (name, gap), without in zip(
            effect._asdict().items(), (before, after, change), strict=True
        )
    }
    return Temperature(found, half, means)


def _left_out(logits: Tensor, target: Tensor, groups: MemberGroups) -> Statistics:
    given = residuals(softmax(logits), target)
    values = set_values(leave_one_out(member_sums(given, groups)), given)
    return left_out(values, leave_one_out(loss_sums(logits, given, groups)), target)


def _equality_means(
    values: DisagreementEquality, kind: str, members: MemberPart
) -> dict[str, Estimate]:
    columns = values._asdict()
    # statistics that are columns of samples.csv as well have the name that they have there
    named = {"error": "error_rate", "disagreement": "disagreement"} if kind == "hard" else {}
    return {
        name: members.mean(
            named.get(name, f"{kind}_{name}"), column, proportion=not name.startswith("difference")
        )
        for name, column in columns.items()
    }


def _error(
    probs: MeanProbs, notion: str, bins: Binning, clusters: Int[Tensor, " binned"] | None
) -> ErrorEstimates:
    number = len(probs.target)
    cells = NOTIONS[notion](probs.whole, probs.target, binning=bins)
    error = calibration_error(cells)
    samples, units = samples_variance(squared_influence(cells, number), clusters)
    spread = Spread(samples, units)
    if notion in OF_CONFIDENCE and len(probs.confidence) >= 3:
        spread = _with_members(probs, notion, bins, cells, spread)
    squared = estimate(float(error.squared_debiased), spread, without_members=ALL_CLASSES)
    return ErrorEstimates(
        Estimate(float(error.absolute), reason=TOO_HIGH), squared, float(error.alone)
    )


def _with_members(
    probs: MeanProbs, notion: str, bins: Binning, cells: Cells, spread: Spread
) -> Spread:
    """Adds the part of the members: the error without each group, in bins of its own."""
    number = len(probs.target)
    errors, influences = [], []
    mean = torch.where(cells.noise.isnan().unsqueeze(1), 0.0, cells.residual)[cells.items.cell, 0]
    for largest, predicted in zip(probs.confidence, probs.predicted, strict=True):
        excess = largest - (predicted == probs.target).double()
        of_class = predicted.unsqueeze(1) if notion == "top_label" else None
        without = confidence_cells(
            largest.unsqueeze(1), excess.unsqueeze(1), of_class, binning=bins
        )
        errors.append(calibration_error(without).squared_debiased)
        influences.append(2 * mean * excess)
    return spread._replace(
        members=float(left_out_variance(torch.stack(errors))),
        both=float(left_out_variance(torch.stack(influences)).mean()) / number,
        groups=len(errors),
    )
