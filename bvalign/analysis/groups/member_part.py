"""Means over samples with intervals over samples and members."""

from collections.abc import Mapping
from types import MappingProxyType

from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import Column
from bvalign.analysis.groups.left_out import LeftOut, left_out_variance
from bvalign.analysis.intervals import (
    SAMPLES_ALONE,
    Estimate,
    Interval,
    Spread,
    estimate,
    samples_variance,
    within,
)

LEAST_GROUPS = 3
NOT_LEFT_OUT = "over samples alone: no values with members left out"
OF_LABELS = ("noise", "kl_noise", "noise_unbiased")
"""Statistics that no member changes."""


class MemberPart:
    """What the draw of the members adds to the spread of a mean.

    Args:
        names: of the rows of `left_out`.
        left_out: sums over all samples of statistics without each group of members.
        num_samples: N.
        clusters: of the samples; None if they are independent.
        bounds: of means that are known no better, by name.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        left_out: LeftOut,
        num_samples: int,
        clusters: Int[Tensor, " samples"] | None = None,
        bounds: Mapping[str, Interval] = MappingProxyType({}),
    ) -> None:
        self._rows = {name: row for row, name in enumerate(names)}
        self._totals, self._both = left_out.total / num_samples, left_out.both / num_samples**2
        self.clusters, self._bounds = clusters, bounds

    def mean(self, name: str, column: Column) -> Estimate:
        """Mean of a statistic with its intervals.

        Args:
            name: of the statistic; over samples alone if it is not among those left out.
            column: of all samples.
        """
        values, unit = column.values.double(), column.unit
        samples, units = samples_variance(values, self.clusters)
        spread, groups = Spread(samples, units), self._totals.shape[1]
        if groups >= LEAST_GROUPS and name in OF_LABELS:
            spread = Spread(samples, units, 0.0, 0.0, groups)
        elif groups >= LEAST_GROUPS and name in self._rows:
            row = self._rows[name]
            members = float(left_out_variance(self._totals[row]))
            spread = Spread(samples, units, members, float(self._both[row]), groups)
        found = estimate(
            float(values.mean()),
            spread,
            unit.kind,
            magnitude=float(values.abs().mean()),
            without_members=SAMPLES_ALONE if groups < LEAST_GROUPS else NOT_LEFT_OUT,
        )
        return found if name not in self._bounds else within(found, self._bounds[name], unit.kind)

    def without(self, name: str) -> tuple[Float[Tensor, " groups"], float]:
        """Mean of a statistic without each group, none with fewer than three, and V_b."""
        row, known = self._rows[name], self._totals.shape[1] >= LEAST_GROUPS
        return self._totals[row] if known else self._totals[row, :0], float(self._both[row])

    def means(self, columns: Mapping[str, Column], prefix: str = "") -> dict[str, Estimate]:
        """Means of several statistics, found under a prefix among those left out."""
        return {name: self.mean(prefix + name, column) for name, column in columns.items()}
