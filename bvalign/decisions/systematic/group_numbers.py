"""Error rate, risk, bias and variance of each group of samples, with intervals and a test.

Bias and variance are the unbiased ones, whose sum is the risk (but for the noise of soft labels). A
share is a ratio of two means, whose variances are those of what each sample adds to it, (a_i - s
b_i) / b̄ for the share s = ā / b̄.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bvalign.analysis.decompositions import Kind, error_kinds
from bvalign.analysis.groups import OF_GROUPS
from bvalign.analysis.intervals import SAMPLES_ALONE, Estimate, estimate
from bvalign.analysis.summary import Analysis
from bvalign.decisions.systematic.spreads import LeftOut, Samples, Variances, variances
from bvalign.decisions.systematic.stand_out import FALSE_DISCOVERIES, against_rest

LEAST_MEMBERS = 3

NAMES = ("error_rate", "ensemble_error", "risk", "bias_sq", "variance", "systematic", "chance")
KINDS: dict[str, Kind] = dict.fromkeys(NAMES, "proportion")
KINDS |= dict.fromkeys(("risk", "bias_sq", "variance"), "positive")
"""What means of them can be."""

SHARES = {
    "variance_share": ("variance", "risk"),
    "systematic_share": ("systematic", "ensemble_error"),
}
"""Ratios of two means: the part, and of what."""


class PerSample(NamedTuple):
    """What groups are compared by."""

    values: Float[np.ndarray, "statistics samples"]  # in the order of NAMES
    left_out: LeftOut | None  # None with fewer than three members
    clusters: Int[np.ndarray, " samples"] | None
    kinds: dict[str, Kind]


@dataclass(frozen=True)
class Group:
    """A group of samples.

    Attributes:
        column: that tells the groups apart; `class` for those of the labels.
        name: of the group.
        samples: how many it has.
        numbers: by the names of NAMES and SHARES.
        p_value: of its error rate against that of all other samples; None where it is not tested.
        adjusted: the p-value for all groups of all columns together.
    """

    column: str
    name: str
    samples: int
    numbers: dict[str, Estimate]
    p_value: float | None = None
    adjusted: float | None = None

    @property
    def stands_out(self) -> bool:
        """Whether its error rate differs from that of the rest."""
        return self.adjusted is not None and self.adjusted <= FALSE_DISCOVERIES


def per_sample(analysis: Analysis) -> PerSample:
    """Collects the statistics of an analysis."""
    table = analysis.table
    squared, zero_one = table.decomposition, table.zero_one
    main_wrong = zero_one.main != table.target
    error = zero_one.error_rate
    kinds = error_kinds(squared.correct, main_wrong, 1 - zero_one.variance_01, error)
    rows = (error, ~squared.correct, squared.risk, squared.bias_sq_unbiased)
    rows = (*rows, squared.variance_unbiased, kinds.systematic, kinds.chance)
    values = np.stack([row.double().numpy() for row in rows])
    left_out = None
    if analysis.left_out.values.shape[1] >= LEAST_MEMBERS:
        sets = dict(zip(OF_GROUPS, analysis.left_out.values.double().numpy(), strict=True))
        risk, variance = sets["risk"], sets["variance_unbiased"]
        rows = (sets["error_rate"], 1 - sets["correct"], risk, risk - variance, variance)
        rows = np.stack([*rows, sets["systematic"], sets["chance"]])
        left_out = LeftOut(analysis.left_out.positions.numpy(), rows)
    clusters = None if table.cluster is None else table.cluster.numpy()
    signed = {"bias_sq": "real"} if analysis.soft_labels else {}
    return PerSample(values, left_out, clusters, KINDS | signed)


def whole(given: PerSample) -> dict[str, Estimate]:
    """The numbers of all samples."""
    everything = Samples.of(np.zeros(given.values.shape[1], dtype=np.int64), 1, given.clusters)
    return next(_numbers(given, everything))


def groups_of(
    given: PerSample, column: str, names: tuple[str, ...], numbers: Int[np.ndarray, " samples"]
) -> list[Group]:
    """The groups of a column that have samples, with p-values.

    Args:
        given: of the samples.
        column: that tells the groups apart.
        names: of the groups.
        numbers: place of each sample's group among them.
    """
    samples = Samples.of(numbers, len(names), given.clusters)
    errors = given.left_out and given.left_out._replace(values=given.left_out.values[:1])
    p_values = against_rest(samples, given.values[0], errors)
    found = zip(names, samples.sizes.tolist(), _numbers(given, samples), p_values, strict=True)
    return [
        Group(column, name, size, values, None if np.isnan(p) else float(p))
        for name, size, values, p in found
        if size
    ]


def _numbers(given: PerSample, samples: Samples) -> Iterator[dict[str, Estimate]]:
    """Yields the numbers of each group."""
    values, at = given.values, samples.numbers
    means = samples.sums(values) / np.maximum(samples.sizes, 1)
    of_means = variances(samples, values - means[:, at], given.left_out)
    shares, of_shares = _shares(given, samples, means)
    for group in range(len(samples.sizes)):
        yield {
            name: _estimate(means[row, group], of_means, (row, group), given.kinds[name])
            for row, name in enumerate(NAMES)
        } | {
            name: _estimate(shares[row, group], of_shares, (row, group), "proportion")
            for row, name in enumerate(SHARES)
        }


def _shares(
    given: PerSample, samples: Samples, means: Float[np.ndarray, "statistics sets"]
) -> tuple[Float[np.ndarray, "shares sets"], Variances]:
    """Ratios of means, with the variances of what samples add to them."""
    places = np.array([[NAMES.index(name) for name in pair] for pair in SHARES.values()])
    part, of = places.T
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = means[part] / means[of]  # NaN where nothing is shared
        scale = 1 / means[of]

        def adds(values: Float[np.ndarray, "... some"], at: np.ndarray) -> np.ndarray:
            slope, factor = shares[:, at], scale[:, at]
            if values.ndim == 3:
                slope, factor = slope[:, None], factor[:, None]
            return (values[part] - slope * values[of]) * factor

        left_out = given.left_out
        if left_out is not None:
            at = samples.numbers[left_out.positions]
            left_out = left_out._replace(values=adds(left_out.values, at))
        of_samples = adds(given.values, samples.numbers)
        return shares, variances(samples, of_samples, left_out, given.values[of] != 0)


def _estimate(value: float, found: Variances, place: tuple[int, int], kind: Kind) -> Estimate:
    if not np.isfinite(value):
        return Estimate(None, reason="undefined: one member, or nothing to share")
    alone = "over samples alone" if found.member_groups else SAMPLES_ALONE
    return estimate(float(value), found.spread(*place), kind, without_members=alone)
