"""Calibration of one ensemble: errors, the gap, disagreement."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.calibration.cells import (
    Binning,
    Cells,
    canonical,
    class_aggregated,
    class_wise,
    confidence,
    confidence_cells,
    equal_mass,
    equal_width,
    top_label,
)
from bvalign.analysis.calibration.disagreement import DisagreementEquality, equality
from bvalign.analysis.calibration.errors import calibration_error, squared_influence
from bvalign.analysis.calibration.gap import Gap, GapBounds, gap_bounds
from bvalign.analysis.calibration.temperature import Temperature
from bvalign.analysis.decompositions import Decomposition, Labels, ZeroOne, chance_of, columns_of
from bvalign.analysis.groups import MemberPart, left_out_variance
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance

NOTIONS = {
    "confidence": confidence,
    "top_label": top_label,
    "class_wise": class_wise,
    "class_aggregated": class_aggregated,
    "canonical": canonical,
}
DIFFERENT_CLASSES = "samples have different numbers of classes"
OF_CLASSES = ("canonical", "class_wise", "class_aggregated")
"""Bounds whose cells go over classes."""

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


def calibrate(
    probs: MeanProbs,
    clusters: Int[Tensor, " binned"] | None,
    labels: Labels | None = None,
    *,
    of_classes: bool = True,
) -> dict[str, object]:
    """Computes the fields of `Calibration` that come from binned mean probabilities.

    Args:
        probs: of the samples that are binned.
        clusters: of the same; None if they are independent.
        labels: soft labels of the same; None for the class ids.
        of_classes: whether a class is the same thing for all samples; if not, only what goes by
            confidence is computed.
    """
    labels = probs.target if labels is None else labels
    undefined = Estimate(None, reason=DIFFERENT_CLASSES)
    errors = {
        binning: {
            notion: _error(probs, labels, notion, bins, clusters)
            if of_classes or notion == "confidence"
            else ErrorEstimates(undefined, undefined, math.nan)
            for notion in NOTIONS
        }
        for binning, bins in BINNINGS.items()
    }
    bounds = gap_bounds(probs.whole, labels)
    if not of_classes:
        left_out = dict.fromkeys(OF_CLASSES, torch.tensor(math.nan))
        bounds = bounds._replace(**left_out)
    return {
        "errors": errors,
        "reliability": confidence(probs.whole, labels),
        "num_samples": len(probs.target),
        "bounds": bounds,
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
    pairs = 1 - 1 / votes.count.double()
    # a single member never disagrees with itself
    plug_in = torch.where(votes.count > 1, votes.disagreement * pairs, 0.0)
    hard = equality(votes.error_rate, votes.disagreement, plug_in)
    soft = equality(
        soft_error, gap.uncertainty + values.variance_unbiased, gap.uncertainty + values.variance
    )
    return {
        "gap": members.means(columns_of(gap)),
        "hard_equality": _equality_means(hard, "hard", members),
        "soft_equality": _equality_means(soft, "soft", members),
    }


def _equality_means(
    values: DisagreementEquality, kind: str, members: MemberPart
) -> dict[str, Estimate]:
    # statistics that are columns of samples.csv as well have the name that they have there
    named = {"error": "error_rate", "disagreement": "disagreement"} if kind == "hard" else {}
    return {
        name: members.mean(named.get(name, f"{kind}_{name}"), column)
        for name, column in columns_of(values).items()
    }


def _error(
    probs: MeanProbs,
    labels: Labels,
    notion: str,
    bins: Binning,
    clusters: Int[Tensor, " binned"] | None,
) -> ErrorEstimates:
    number = len(probs.target)
    cells = NOTIONS[notion](probs.whole, labels, binning=bins)
    error = calibration_error(cells)
    samples, units = samples_variance(squared_influence(cells, number), clusters)
    spread = Spread(samples, units)
    if notion in OF_CONFIDENCE and len(probs.confidence) >= 3:
        spread = _with_members(probs, labels, notion, bins, (cells, spread))
    squared = estimate(float(error.squared_debiased), spread, without_members=ALL_CLASSES)
    return ErrorEstimates(
        Estimate(float(error.absolute), reason=TOO_HIGH), squared, float(error.alone)
    )


def _with_members(
    probs: MeanProbs,
    labels: Labels,
    notion: str,
    bins: Binning,
    whole: tuple[Cells, Spread],
) -> Spread:
    """Adds the part of the members: the error without each group, in bins of its own."""
    cells, spread = whole
    number = len(probs.target)
    errors, influences = [], []
    mean = torch.where(cells.noise.isnan().unsqueeze(1), 0.0, cells.residual)[cells.items.cell, 0]
    for largest, predicted in zip(probs.confidence, probs.predicted, strict=True):
        excess = largest - chance_of(labels, predicted)
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
