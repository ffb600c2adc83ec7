"""Calibrate the ensemble: a temperature of its mean, of its members, or two constants."""

from bvalign.decisions.calibrate.halves import calibrate_ensemble
from bvalign.decisions.calibrate.methods import calibrated
from bvalign.decisions.calibrate.result import Calibrate
from bvalign.decisions.calibrate.rule import apply_calibration

__all__ = ["Calibrate", "apply_calibration", "calibrate_ensemble", "calibrated"]
