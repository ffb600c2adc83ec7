"""Numbers of an estimator with 95% intervals.

`interval_samples` resamples test samples (percentile bootstrap); `interval_members` is the estimate
± 1.96 standard deviations over random half-samples of the members, whose spread around the full
ensemble equals that of the full ensemble around its mean. `interval` adds both variances.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bvalign.analysis.slopes.estimator import Estimator
from bvalign.analysis.slopes.lines import ReplicateWeights
from bvalign.analysis.slopes.member_subsets import Design
from bvalign.analysis.slopes.subset_values import SubsetValues

NUM_BOOTSTRAP = 200


class Estimate(NamedTuple):
    """Number with 95% intervals; None where undefined, and `reason` says why."""

    value: float | None
    interval: tuple[float, float] | None = None
    interval_samples: tuple[float, float] | None = None
    interval_members: tuple[float, float] | None = None
    reason: str | None = None

    @property
    def quoted_interval(self) -> tuple[float, float] | None:
        """Full `interval`, or that over samples alone where members are too few for it."""
        return self.interval or self.interval_samples


def stored_estimates(alignment: dict[str, dict]) -> dict[str, dict[str, Estimate]]:
    """Reads estimator -> number -> estimate back from `alignment` of a summary.json."""
    return {
        name: {key: _stored(number) for key, number in numbers.items() if key != "samples"}
        for name, numbers in alignment.items()
    }


def bootstrap_weights(num_samples: int, seed: int) -> ReplicateWeights:
    """Replicate weights: a row of ones, for the estimate, and NUM_BOOTSTRAP rows of counts."""
    rng = np.random.default_rng(seed)
    replicate_weights = torch.ones(NUM_BOOTSTRAP + 1, num_samples, dtype=torch.float64)
    uniform = np.full(num_samples, 1 / max(num_samples, 1))
    counts = rng.multinomial(num_samples, uniform, NUM_BOOTSTRAP)
    replicate_weights[1:] = torch.from_numpy(counts).double()
    return replicate_weights


def estimate(
    estimator: Estimator, values: SubsetValues, design: Design, replicate_weights: ReplicateWeights
) -> dict[str, Estimate]:
    """Numbers of one estimator, with intervals.

    Args:
        estimator: such as one of `estimators.ESTIMATORS`.
        values: of `design.subsets`, after `design.select`.
        design: the subsets.
        replicate_weights: `bootstrap_weights`.
    """
    reason = estimator.undefined(values, design.full)
    if reason:
        return dict.fromkeys(estimator.numbers, Estimate(None, reason=reason))
    usable = [half for half in design.halves if not estimator.undefined(values, half)]
    halves = [estimator.fit(values, half, replicate_weights[:1]) for half in usable]
    full = estimator.fit(values, design.full, replicate_weights)
    return {key: _with_intervals(full[key], [half[key] for half in halves]) for key in full}


def _stored(number: dict[str, object]) -> Estimate:
    return Estimate(**{k: tuple(v) if isinstance(v, list) else v for k, v in number.items()})


def _with_intervals(full: Tensor, halves: list[Tensor]) -> Estimate:
    value = float(full[0])
    if not np.isfinite(value):
        return Estimate(None, reason="undefined: the values do not vary")
    replicates, spread = full[1:][full[1:].isfinite()], torch.cat([*halves, torch.empty(0)])
    spread = spread[spread.isfinite()]
    if len(replicates) < 2:
        return Estimate(value, reason="too few samples to resample: no interval")
    low, high = np.quantile(replicates.numpy(), [0.025, 0.975]).tolist()
    if len(spread) < 2:
        reason = "too few members to half-sample: no interval over members"
        return Estimate(value, None, (low, high), None, reason)
    spread_samples, spread_members = float(replicates.std()), float(spread.std())
    both = 1.96 * float(np.hypot(spread_samples, spread_members))
    members = 1.96 * spread_members
    return Estimate(
        value,
        interval=(value - both, value + both),
        interval_samples=(low, high),
        interval_members=(value - members, value + members),
    )
