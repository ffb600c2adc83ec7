"""Difference of one number of two ensembles over the same samples, with its 95% interval.

For a number of ensemble A minus that of B, from N samples and from members drawn independently,

    V = V_s + E_A + E_B        E = max(V_m - V_b, 0) of each ensemble (`two_way.py`)

V_s is the variance over samples for these members, of the difference sample by sample: what makes a
sample hard for both is left out of it. What an ensemble's own variance over samples has beyond that
of its influence values (the shape of the noise, for the slope) is added to V_s. E is what the draw
of an ensemble's members adds. The interval is the difference ± t sqrt(V), with Satterthwaite's
degrees of freedom

    V² / (V_s² / (C - 1) + E_A V_mA / (G_A - 1) + E_B V_mB / (G_B - 1))

for C independent samples and G groups of members. A difference of proportions counts two samples
more, one for each side, so that V_s is not zero where no sample differs (Bonett & Price 2012).
Where an ensemble's own interval is stretched, so is that of the difference, for either ensemble.

Projection: c times the samples divide V_s and V_b by c, c times the members divide V_m and V_b by
c, and so the part of V_s that is V_b of A and of B. If the difference stays as it is, its interval
excludes zero from some c on, or for no c if the other part is too large.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.intervals.estimate import Estimate, Interval
from bvalign.analysis.intervals.student import t_quantile
from bvalign.analysis.intervals.two_way import samples_variance


class Side(NamedTuple):
    """A number of one ensemble, and what is known of its samples and members."""

    number: Estimate  # with a value
    influence: Float[Tensor, " samples"]  # of each sample on the number, as on a mean
    clusters: Int[Tensor, " samples"] | None = None  # those of its own intervals


class MembersPart(NamedTuple):
    """What the draw of one ensemble's members adds to the variance of its number."""

    added: float  # E
    both: float  # V_b
    groups: float  # G, of members
    stretch: tuple[float, float] = (0.0, 0.0)  # of the interval, below zero and above

    @property
    def uncertainty(self) -> float:
        """E V_m over the degrees of freedom."""
        return self.added * (self.added + self.both) / (self.groups - 1)

    def grown(self, samples: float, members: float, most_groups: int) -> "MembersPart":
        """The same of so many times the samples and members, in at most so many groups."""
        return self._replace(
            added=self.added / members,
            both=self.both / samples / members,
            groups=min(self.groups * members, float(most_groups)),
        )


NOTHING = MembersPart(0.0, 0.0, 2.0)
"""The part of members that do not differ."""


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
        uncertain = self.samples**2 / (self.units - 1)
        uncertain += sum(part.uncertainty for part in self.members)
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
        parts, shared = self.members, 0.0
        if parts is not None:
            shared = min(sum(part.both for part in parts), self.samples)
            parts = tuple(part.grown(samples, members, most_groups) for part in parts)
        left = self.samples - shared + shared / members
        return self._replace(samples=left / samples, units=self.units * samples, members=parts)

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
        half = t_quantile(freedom) * math.sqrt(variance)
        return max(self.value - half, self.least), min(self.value + half, -self.least)


def paired(
    a: Side,
    b: Side,
    clusters: Int[Tensor, " samples"] | None = None,
    *,
    proportion: bool = False,
    same_members: bool = False,
) -> Difference:
    """Difference of the number of A and the same number of B.

    Args:
        a: of the first ensemble.
        b: of the second, over the same samples.
        clusters: of the samples; None if they are independent.
        proportion: whether the numbers are proportions.
        same_members: whether the two have members in common, whose part is then unknown.

    >>> import torch
    >>> right = torch.tensor([[1.0, 1, 1, 0], [1.0, 1, 0, 0]]).double()
    >>> a, b = (Side(Estimate(float(row.mean())), row) for row in right)
    >>> found = paired(a, b)
    >>> found.value, found.samples  # one of four differs: (1/4 - 1/16) / 3
    (0.25, 0.0625)
    """
    samples, units = samples_variance(a.influence - b.influence, clusters)
    value, least = a.number.value - b.number.value, -math.inf
    parts = tuple(_members_part(side.number, proportion) for side in (a, b))
    members = None if same_members or None in parts else parts
    if proportion:
        samples, least = samples + 2 / units**2, -1.0
    else:
        samples += _unseen(a) + _unseen(b)
    return Difference(value, samples, float(units), members, least)


def _unseen(side: Side) -> float:
    """Variance over samples of a number that its influence values do not show."""
    if side.number.variances is None:
        return 0.0
    seen, _ = samples_variance(side.influence, side.clusters)
    return max(side.number.variances.samples - seen, 0.0)


def _members_part(number: Estimate, proportion: bool) -> MembersPart | None:
    """The part of its members, and by how much its interval is stretched; None if unknown."""
    if number.interval is None or number.variances is None:
        return None
    samples, units, members, both, groups = number.variances
    part = MembersPart(max(members - both, 0.0), both, float(groups))
    if proportion:
        return part
    plain = Difference(number.value, samples, float(units), (part, NOTHING)).interval
    below, above = (end - own for end, own in zip(number.interval, plain, strict=True))
    return part._replace(stretch=(min(below, 0.0), max(above, 0.0)))


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
