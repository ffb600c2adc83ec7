"""Estimators of the slope of log variance on log squared bias, with intervals."""

from bvalign.analysis.slopes.estimators import ESTIMATORS, quoted_estimators
from bvalign.analysis.slopes.fit import Alignment, fit_alignment
from bvalign.analysis.slopes.intervals import Estimate, stored_estimates
from bvalign.analysis.slopes.jackknife import LogErrors, delete_one_errors
from bvalign.analysis.slopes.lines import log_log_line
from bvalign.analysis.slopes.member_subsets import Design, Selection, design
from bvalign.analysis.slopes.parts import LocalSlope, class_slopes, decade_slopes
from bvalign.analysis.slopes.subset_values import SubsetValues, subset_values

__all__ = [
    "ESTIMATORS",
    "Alignment",
    "Design",
    "Estimate",
    "LocalSlope",
    "LogErrors",
    "Selection",
    "SubsetValues",
    "class_slopes",
    "decade_slopes",
    "delete_one_errors",
    "design",
    "fit_alignment",
    "log_log_line",
    "quoted_estimators",
    "stored_estimates",
    "subset_values",
]
