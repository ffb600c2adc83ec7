"""A number with its 95% intervals."""

from typing import NamedTuple

Interval = tuple[float, float]


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
