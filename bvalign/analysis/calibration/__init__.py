"""Calibration of the mean prediction: errors, the gap identity, disagreement, temperature."""

from bvalign.analysis.calibration.disagreement import (
    DisagreementEquality,
    hard_equality,
    pair_disagreement,
    soft_equality,
)
from bvalign.analysis.calibration.errors import CalibrationError, Cells, calibration_error
from bvalign.analysis.calibration.gap import (
    Gap,
    GapBounds,
    GapMeans,
    decompose_gap,
    gap_bounds,
    gap_identity,
    gap_means,
    risk_label_free,
    uncertainty_sum,
)
from bvalign.analysis.calibration.summary import Calibration, calibrate, choose_held_out
from bvalign.analysis.calibration.temperature import (
    TemperatureEffect,
    fit_temperature,
    nll_of_mean,
    nll_of_members,
    temperature_effect,
)

__all__ = [
    "Calibration",
    "CalibrationError",
    "Cells",
    "DisagreementEquality",
    "Gap",
    "GapBounds",
    "GapMeans",
    "TemperatureEffect",
    "calibrate",
    "calibration_error",
    "choose_held_out",
    "decompose_gap",
    "fit_temperature",
    "gap_bounds",
    "gap_identity",
    "gap_means",
    "hard_equality",
    "nll_of_mean",
    "nll_of_members",
    "pair_disagreement",
    "risk_label_free",
    "soft_equality",
    "temperature_effect",
    "uncertainty_sum",
]
