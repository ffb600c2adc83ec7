"""Calibration of one ensemble: errors, the gap, disagreement, temperature."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.calibration.disagreement import (
    DisagreementEquality,
    hard_equality,
    soft_equality,
)
from bvalign.analysis.calibration.errors import (
    CalibrationError,
    Cells,
    calibration_error,
    canonical,
    class_aggregated,
    class_wise,
    confidence,
    equal_mass,
    equal_width,
    top_label,
)
from bvalign.analysis.calibration.gap import Gap, GapBounds, GapMeans, gap_bounds, gap_means
from bvalign.analysis.calibration.temperature import (
    TemperatureEffect,
    fit_temperature,
    temperature_effect,
)
from bvalign.analysis.decompositions import Moments

NOTIONS = {
    "confidence": confidence,
    "top_label": top_label,
    "class_wise": class_wise,
    "class_aggregated": class_aggregated,
    "canonical": canonical,
}
BINNINGS = {"equal_width": equal_width, "equal_mass": equal_mass}
HELD_OUT_NUMBERS = 2**22
"""Most logits kept for fitting a temperature and the noise: 32 MB in float64."""


class Temperature(NamedTuple):
    """Temperature scaling fitted on one half of some test samples and evaluated on the other."""

    temperature: float | None  # None where it is undefined; `reason` says why
    num_samples: int  # in each half
    effect: TemperatureEffect | None = None
    reason: str | None = None


class Calibration(NamedTuple):
    """Calibration of the mean probabilities of all members."""

    errors: dict[str, dict[str, CalibrationError]]  # binning -> notion -> error
    reliability: Cells  # of confidence, 15 bins of equal width
    gap: GapMeans
    bounds: GapBounds
    hard_equality: DisagreementEquality
    soft_equality: DisagreementEquality
    temperature: Temperature


def calibrate(
    state: Moments,
    uncertainty_sum: Float[Tensor, " samples"],
    counts: Int[Tensor, "samples classes"],
    gap: Gap,
    target: Int[Tensor, " samples"],
    held_out: tuple[Float[Tensor, "members chosen classes"], Int[Tensor, " chosen"]],
) -> Calibration:
    """Computes all measures of calibration.

    Args:
        state: moments of all members.
        uncertainty_sum: `gap.uncertainty_sum` of all members.
        counts: votes for each class.
        gap: of all members.
        target: class ids.
        held_out: logits and labels of the samples chosen by `choose_held_out`, in any order that
            does not depend on their values.
    """
    probs = state.prob_sum / state.count.unsqueeze(-1)
    errors = {
        binning: {
            notion: calibration_error(cells(probs, target, binning=bins))
            for notion, cells in NOTIONS.items()
        }
        for binning, bins in BINNINGS.items()
    }
    return Calibration(
        errors=errors,
        reliability=confidence(probs, target),
        gap=gap_means(gap),
        bounds=gap_bounds(probs, target),
        hard_equality=hard_equality(counts, target),
        soft_equality=soft_equality(state, uncertainty_sum, target),
        temperature=_temperature(*held_out),
    )


def choose_held_out(
    num_samples: int, num_members: int, num_classes: int
) -> Bool[Tensor, " samples"]:
    """Chooses at random, with seed 0, as many samples as fit into memory with all members."""
    num = min(num_samples, HELD_OUT_NUMBERS // (num_members * num_classes))
    chosen = torch.zeros(num_samples, dtype=torch.bool)
    chosen[torch.from_numpy(np.random.default_rng(0).permutation(num_samples)[:num])] = True
    return chosen


def _temperature(
    logits: Float[Tensor, "members chosen classes"], target: Int[Tensor, " chosen"]
) -> Temperature:
    half = len(target) // 2
    if half < 5 or not logits.isfinite().all():
        return Temperature(None, half, reason="needs ten samples with finite logits")
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(target)))
    fit, judge = order[:half], order[half : 2 * half]
    try:
        temperature = fit_temperature(logits[:, fit], target[fit])
    except ValueError as error:
        return Temperature(None, half, reason=str(error))
    effect = temperature_effect(logits[:, judge], target[judge], temperature)
    return Temperature(temperature, half, effect)
