"""Difference of one number of two ensembles over the same samples, with its 95% interval.

For a number of ensemble A minus that of B, from N samples and from members drawn independently,

    V = V_s + E_A + E_B        E = max(V_m - V_b, 0) of each ensemble (`two_way.py`)

V_s is the variance over samples for these members, of the difference sample by sample: what makes a
sample hard for both is left out of it. E is what the draw of an ensemble's members adds. The
interval is the difference ± t sqrt(V), with Satterthwaite's degrees of freedom

    V² / (V_s² / (C - 1) + V_mA² / (G_A - 1) + V_mB² / (G_B - 1))

for C independent samples and G groups of members. A difference of proportions counts two samples
more, one for each side, so that V_s is not zero where no sample differs (Bonett & Price 2012).
Where an ensemble's own interval is stretched, so is that of the difference, for either ensemble.

Projection: c times the samples divide V_s and V_b by c, c times the members V_m and V_b. If the
difference stays as it is, its interval excludes zero from some c on, or for no c if the other part
is too large.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float, Int
from scipy.special import stdtrit
from torch import Tensor

from bvalign.analysis.intervals.estimate import Estimate, Interval
from bvalign.analysis.intervals.two_way import samples_variance


class MembersPart(NamedTuple):
    """What the draw of one ensemble's members adds to the variance of its number."""

    added: float  # E
    alone: float  # V_m
    groups: float  # G, of members
    stretch: tuple[float, float] = (0.0, 0.0)  # of the interval, below zero and above

    def grown(self, samples: float, members: float, most_groups: int) -> "MembersPart":
        """The same of so many times the samples and members, in at most so many groups."""
        groups = min(self.groups * members, float(most_groups))
        alone = self.added + (self.alone - self.added) / samples  # V_b falls with both
        return self._replace(added=self.added / members, alone=alone / members, groups=groups)


class Needed(NamedTuple):
    """Times as many samples or members that would tell two ensembles apart; None if none would."""

    samples: float | None
    members: float | None
    both: float | None  # as many times more samples and members


class Difference(NamedTuple):
    """A difference with the parts of its variance."""

    value: float
    samples: float  # V_s
    units: float  # independent samples or clusters
    members: tuple[MembersPart, MembersPart] | None  # of A and B; None if unknown
    least: float = -math.inf  # that is possible; the largest is minus this

    @property
    def interval_samples(self) -> Interval:
        """Of these members."""
        return self._around(self.samples, self.units - 1)

    @property
    def interval(self) -> Interval | None:
        """Over samples and members; None if the members' part is unknown."""
        if self.members is None:
            return None
        total = self.samples + sum(part.added for part in self.members)
        uncertain = _over(self.samples, self.units) + sum(
            _over(part.alone, part.groups) for part in self.members if part.added
        )
        freedom = total**2 / uncertain if uncertain else math.inf
        low, high = self._around(total, max(freedom, 1.0))
        a, b = (part.stretch for part in self.members)
        return low + a[0] - b[1], high + a[1] - b[0]

    @property
    def apart(self) -> bool:
        """Whether the interval, over samples alone if there is no other, excludes zero."""
        low, high = self.interval or self.interval_samples
        return low > 0 or high < 0

    def grown(self, *, samples: float, members: float, most_groups: int) -> "Difference":
        """Projects the same difference to so many times the samples and members."""
        parts = self.members and tuple(
            part.grown(samples, members, most_groups) for part in self.members
        )
        return self._replace(
            samples=self.samples / samples, units=self.units * samples, members=parts
        )

    def needed(self, most_groups: int) -> Needed:
        """Projects how many times as many samples, members or both would tell the two apart.

        Args:
            most_groups: of members, however many there are.
        """

        def apart(samples: float, members: float) -> bool:
            return self.grown(samples=samples, members=members, most_groups=most_groups).apart

        unknown = self.members is None
        return Needed(
            _smallest(lambda factor: apart(factor, 1.0)),
            None if unknown else _smallest(lambda factor: apart(1.0, factor)),
            None if unknown else _smallest(lambda factor: apart(factor, factor)),
        )

    def _around(self, variance: float, freedom: float) -> Interval:
        half = float(stdtrit(freedom, 0.975)) * math.sqrt(variance)
        return max(self.value - half, self.least), min(self.value + half, -self.least)


def members_part(number: Estimate, groups: int, *, proportion: bool = False) -> MembersPart | None:
    """Reads the members' part of a number back from its intervals; None if it has none.

    Args:
        number: with its intervals.
        groups: of members, which are the members themselves if there are few.
        proportion: whether the intervals are those of a proportion.
    """
    error, ends, p = number.standard_error_members, number.interval_members, number.value
    if error is None or ends is None or p is None:
        return None
    below, above = p - ends[0], ends[1] - p
    quantile = float(stdtrit(groups - 1.0, 0.975))
    if proportion:
        end = ends[0] if ends[0] > 0 else ends[1]
        square = (p - end) ** 2 / (end * (1 - end)) if 0 < end < 1 else 0.0
        alone = max(p * (1 - p) * square / quantile**2, error**2)
        return MembersPart(error**2, alone, float(groups))
    half = min(below, above)
    stretch = half - below, above - half
    return MembersPart(error**2, (half / quantile) ** 2, float(groups), stretch)


def paired(
    numbers: tuple[Estimate, Estimate],
    influence: Float[Tensor, " samples"],
    members: tuple[MembersPart | None, MembersPart | None],
    *,
    clusters: Int[Tensor, " samples"] | None = None,
    proportion: bool = False,
) -> Difference:
    """Difference of a number of ensemble A and the same number of ensemble B.

    Args:
        numbers: of A and B, with values.
        influence: of each sample on the difference, as on a mean over the samples; for means the
            difference of A's value and B's.
        members: parts of A and B.
        clusters: of the samples; None if they are independent.
        proportion: whether it is a difference of proportions.

    >>> import torch
    >>> a, b = Estimate(0.75), Estimate(0.5)
    >>> right = torch.tensor([[1.0, 1, 1, 0], [1.0, 1, 0, 0]]).double()
    >>> found = paired((a, b), right[0] - right[1], (None, None))
    >>> found.value, found.samples  # one of four differs: (1/4 - 1/16) / 3
    (0.25, 0.0625)
    """
    samples, units = samples_variance(influence, clusters)
    if proportion:
        samples += 2 / units**2
    a, b = members
    known = None if a is None or b is None else (a, b)
    value = numbers[0].value - numbers[1].value
    return Difference(value, samples, float(units), known, -1.0 if proportion else -math.inf)


def _over(variance: float, number: float) -> float:
    """Squared variance over the degrees of freedom that it was estimated with."""
    return variance**2 / (number - 1)


def _smallest(apart: Callable[[float], bool]) -> float | None:
    """Bisects for the smallest factor, from one on, that tells two numbers apart."""
    if apart(1.0):
        return 1.0
    if not apart(math.inf):
        return None
    low, high = 1.0, 2.0
    while not apart(high):
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if apart(middle) else (middle, high)
    return high
