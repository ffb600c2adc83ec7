"""Calibration of the mean prediction: errors, the gap identity, disagreement, temperature."""

from bvalign.analysis.calibration.disagreement import pair_disagreement
from bvalign.analysis.calibration.errors import Cells
from bvalign.analysis.calibration.gap import Gap, decompose_gap, uncertainty_sum
from bvalign.analysis.calibration.summary import Calibration, calibrate, choose_held_out

__all__ = [
    "Calibration",
    "Cells",
    "Gap",
    "calibrate",
    "choose_held_out",
    "decompose_gap",
    "pair_disagreement",
    "uncertainty_sum",
]
