"""Calibration of the mean prediction: errors, the gap identity, disagreement, temperature."""

from bvalign.analysis.calibration.cells import Cells, confidence, confidence_cells
from bvalign.analysis.calibration.disagreement import (
    DisagreementEquality,
    equality,
    hard_equality,
    pair_disagreement,
    soft_equality,
)
from bvalign.analysis.calibration.errors import (
    CalibrationError,
    calibration_error,
    squared_influence,
)
from bvalign.analysis.calibration.gap import (
    Gap,
    GapBounds,
    decompose_gap,
    gap_bounds,
    gap_identity,
    risk_label_free,
    uncertainty_sum,
)
from bvalign.analysis.calibration.scales import (
    AS_THEY_ARE,
    FittedScales,
    Scales,
    fit_scales,
    scaled_mean,
)
from bvalign.analysis.calibration.summary import (
    DIFFERENT_CLASSES,
    Calibration,
    MeanProbs,
    calibrate,
    compare_means,
)
from bvalign.analysis.calibration.temperature import (
    Temperature,
    TemperatureEffect,
    in_random_order,
    temperature,
    temperature_effect,
)
from bvalign.analysis.calibration.temperature_fit import (
    fit_temperature,
    nll_of_mean,
    nll_of_members,
)

__all__ = [
    "AS_THEY_ARE",
    "DIFFERENT_CLASSES",
    "Calibration",
    "CalibrationError",
    "Cells",
    "DisagreementEquality",
    "FittedScales",
    "Gap",
    "GapBounds",
    "MeanProbs",
    "Scales",
    "Temperature",
    "TemperatureEffect",
    "calibrate",
    "calibration_error",
    "compare_means",
    "confidence",
    "confidence_cells",
    "decompose_gap",
    "equality",
    "fit_scales",
    "fit_temperature",
    "gap_bounds",
    "gap_identity",
    "hard_equality",
    "in_random_order",
    "nll_of_mean",
    "nll_of_members",
    "pair_disagreement",
    "risk_label_free",
    "scaled_mean",
    "soft_equality",
    "squared_influence",
    "temperature",
    "temperature_effect",
    "uncertainty_sum",
]
