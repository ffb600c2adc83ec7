"""Intervals for numbers that depend on the samples and on the members that were drawn."""

from bvalign.analysis.intervals.estimate import (
    Estimate,
    Interval,
    Spread,
    exponential,
    stored,
)
from bvalign.analysis.intervals.paired import Difference, MembersPart, Needed, Side, paired
from bvalign.analysis.intervals.student import t_quantile
from bvalign.analysis.intervals.two_way import (
    SAMPLES_ALONE,
    estimate,
    samples_covariance,
    samples_variance,
    stretched,
    within,
)

__all__ = [
    "SAMPLES_ALONE",
    "Difference",
    "Estimate",
    "Interval",
    "MembersPart",
    "Needed",
    "Side",
    "Spread",
    "estimate",
    "exponential",
    "paired",
    "samples_covariance",
    "samples_variance",
    "stored",
    "stretched",
    "t_quantile",
    "within",
]
