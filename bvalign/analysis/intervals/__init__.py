"""Intervals for numbers that depend on the samples and on the members that were drawn."""

from bvalign.analysis.intervals.estimate import Estimate, stored
from bvalign.analysis.intervals.paired import Difference, MembersPart, Needed, members_part, paired
from bvalign.analysis.intervals.two_way import (
    Spread,
    estimate,
    samples_variance,
)

__all__ = [
    "Difference",
    "Estimate",
    "MembersPart",
    "Needed",
    "Spread",
    "estimate",
    "members_part",
    "paired",
    "samples_variance",
    "stored",
]
