"""A number with its 95% intervals."""

import math
from typing import NamedTuple

Interval = tuple[float, float]

LARGEST_LOG = 700.0
"""Larger logarithms have no float64."""


class Spread(NamedTuple):
    """Variances of an estimate, by what is drawn at random."""

    samples: float  # V_s
    units: int  # independent samples or clusters
    members: float | None = None  # V_m; None if unknown
    both: float = 0.0  # V_b
    groups: int = 0  # groups of members behind V_m


class Estimate(NamedTuple):
    """Number with 95% intervals; None where undefined, and `reason` says why."""

    value: float | None
    interval: Interval | None = None  # over samples and members
    interval_samples: Interval | None = None  # of these members
    interval_members: Interval | None = None  # on these samples
    reason: str | None = None
    variances: Spread | None = None  # behind the intervals

    @property
    def quoted_interval(self) -> Interval | None:
        """Full `interval`, or that over samples alone where there is none."""
        return self.interval or self.interval_samples

    def __str__(self) -> str:
        """The number with the ends of its interval."""
        if self.value is None:
            return f"none ({self.reason})"
        ends = self.quoted_interval
        if ends in (None, (self.value, self.value)):  # equal values have no spread to show
            return f"{self.value:.4g}"
        alone = "" if self.interval else ", samples alone"
        return f"{self.value:.4g} ({ends[0]:.4g} to {ends[1]:.4g}{alone})"


def stored(number: dict[str, object]) -> Estimate:
    """Reads an estimate back from a summary.json.

    >>> stored({"value": 0.5, "interval": [0.4, 0.6]}).interval
    (0.4, 0.6)
    """
    fields = {key: number[key] for key in Estimate._fields if key in number}
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    if fields.get("variances") is not None:
        fields["variances"] = Spread(**fields["variances"])
    return Estimate(**fields)


def exponential(log: Estimate) -> Estimate:
    """Exponential of a number and of its intervals, such as the geometric mean from that of logs.

    >>> exponential(Estimate(0.0, (-1e9, math.log(2))))[:2] == (1, (math.exp(-700), 2))
    True
    """

    def raised(power: float) -> float:
        return math.exp(min(max(power, -LARGEST_LOG), LARGEST_LOG))

    intervals = (ends and (raised(ends[0]), raised(ends[1])) for ends in log[1:4])
    value = None if log.value is None else raised(log.value)
    return Estimate(value, *intervals, log.reason)
