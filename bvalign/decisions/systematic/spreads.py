"""Means of statistics over each group of samples, and their variances over samples and members.

For a group of n samples and the mean x̄ of a statistic over it (`analysis/intervals/two_way.py`):

    V_s   sum_i (x_i - x̄)² / n²  u/(u-1)     u samples or, with sums over each, clusters
    V_m   (G-1)/G sum_g (T_g - mean T)²       T_g the mean without member group g
    V_b   sum_i (G-1)/G sum_g (t_ig - mean t_i)² / n²

V_m and V_b come from the samples whose values without each group of members are kept; of more than
those, V_b and the part of V_m that it is are scaled to all.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from bvalign.analysis.intervals import Spread


class Samples(NamedTuple):
    """Groups of the samples by one column."""

    numbers: Int[np.ndarray, " samples"]  # of the group of each sample
    sizes: Int[np.ndarray, " sets"]  # samples of each group
    clusters: Int[np.ndarray, " samples"] | None  # None if samples are independent

    @classmethod
    def of(
        cls, numbers: Int[np.ndarray, " samples"], count: int, clusters: np.ndarray | None
    ) -> "Samples":
        return cls(numbers, np.bincount(numbers, minlength=count), clusters)

    def sums(self, values: Shaped[np.ndarray, "*rows samples"]) -> Float[np.ndarray, "*rows sets"]:
        """Sums over each group."""
        flat = values.reshape(-1, values.shape[-1])
        sums = [np.bincount(self.numbers, row, len(self.sizes)) for row in flat]
        return np.array(sums).reshape(*values.shape[:-1], len(self.sizes))

    def at(self, positions: Int[np.ndarray, " some"]) -> "Samples":
        """The same groups of some samples."""
        return Samples.of(self.numbers[positions], len(self.sizes), None)


class LeftOut(NamedTuple):
    """Statistics of some samples without each group of members."""

    positions: Int[np.ndarray, " some"]
    values: Float[np.ndarray, "rows members some"]


class Variances(NamedTuple):
    """Of the mean of each statistic over each group; NaN where unknown."""

    samples: Float[np.ndarray, "rows sets"]
    units: Int[np.ndarray, "rows sets"]
    members: Float[np.ndarray, "rows sets"]
    both: Float[np.ndarray, "rows sets"]
    member_groups: int  # 0 where the members' part is unknown

    def spread(self, row: int, group: int) -> Spread:
        """Of one mean."""
        of_samples = (float(self.samples[row, group]), int(self.units[row, group]))
        if not self.member_groups or not np.isfinite(self.members[row, group]):
            return Spread(*of_samples)
        of_members = float(self.members[row, group]), float(self.both[row, group])
        return Spread(*of_samples, *of_members, self.member_groups)


def variances(
    samples: Samples,
    centred: Float[np.ndarray, "rows samples"],
    left_out: LeftOut | None,
    counted: Bool[np.ndarray, "rows samples"] | None = None,
) -> Variances:
    """Variances of means over groups.

    Args:
        samples: the groups.
        centred: what each sample adds to the mean of its group, minus that mean.
        left_out: of the same statistics; None with fewer than three members.
        counted: samples that the statistic is about; None for all.
    """
    over_samples, units = _over_samples(samples, centred, counted)
    if left_out is None:
        unknown = np.full_like(over_samples, np.nan)
        return Variances(over_samples, units, unknown, unknown, 0)
    here = samples.at(left_out.positions)
    with np.errstate(invalid="ignore", divide="ignore"):  # groups without any of those samples
        without = here.sums(left_out.values) / here.sizes
        both = here.sums(jackknife(left_out.values)) / here.sizes**2
        scale = here.sizes / samples.sizes
    members = jackknife(without) - both * (1 - scale)
    groups = left_out.values.shape[1]
    return Variances(over_samples, units, members, both * scale, groups)


def jackknife(values: Float[np.ndarray, "rows members some"]) -> Float[np.ndarray, "rows some"]:
    """Delete-a-group variance: (G-1)/G times the sum of squared deviations over member groups."""
    return values.var(axis=1) * (values.shape[1] - 1)


def pairs_with_clusters(
    samples: Samples,
) -> tuple[Int[np.ndarray, " samples"], Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Pairs of a group and a cluster that occur: that of each sample, and the two of each pair."""
    number = int(samples.clusters.max()) + 1
    found, pair = np.unique(samples.numbers * number + samples.clusters, return_inverse=True)
    return pair, *np.divmod(found, number)


def _over_samples(
    samples: Samples,
    centred: Float[np.ndarray, "rows samples"],
    counted: Bool[np.ndarray, "rows samples"] | None,
) -> tuple[Float[np.ndarray, "rows sets"], Int[np.ndarray, "rows sets"]]:
    """V_s, and how many independent units there are."""
    counted = np.ones_like(centred, dtype=bool) if counted is None else counted
    if samples.clusters is None:
        squares, units = samples.sums(centred**2), samples.sums(counted)
    else:
        pair, group, _ = pairs_with_clusters(samples)
        of_pairs = Samples.of(group, len(samples.sizes), None)
        totals, any_counted = (
            np.array([np.bincount(pair, row) for row in rows]) for rows in (centred, counted)
        )
        squares, units = of_pairs.sums(totals**2), of_pairs.sums(any_counted > 0)
    factor = np.where(units > 1, units / np.maximum(units - 1, 1), np.nan)
    return squares / np.maximum(samples.sizes, 1) ** 2 * factor, units.astype(np.int64)
