"""Slope fits of one ensemble with their intervals, and how they change with its size.

Intervals are at 95%. `interval_samples` resamples test samples (percentile bootstrap);
`interval_members` is the estimate +- 1.96 standard deviations over random half-samples of the
members, whose spread around the full ensemble is that of the full ensemble around its mean.
`interval` adds both variances. What each estimator means stands in `slopes.py`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from bvalign.analysis.slopes import ESTIMATORS, NUMBERS, Columns, Draw, Weights, too_small
from bvalign.analysis.subsets import SubsetValues

NUM_SPLITS = 8
NUM_HALF_SAMPLES = 40
NUM_CURVE_DRAWS = 8
NUM_BOOTSTRAP = 200


class Design(NamedTuple):
    """Which subsets of the members are needed: all of them, half-samples, and smaller ensembles."""

    subsets: Bool[Tensor, "subsets members"]
    full: Draw
    halves: tuple[Draw, ...]
    curve: dict[int, tuple[Draw, ...]]  # number of members -> draws of that size


class Estimate(NamedTuple):
    """A number with 95% intervals; None where it is undefined, and `reason` says why."""

    value: float | None
    interval: tuple[float, float] | None = None
    interval_samples: tuple[float, float] | None = None
    interval_members: tuple[float, float] | None = None
    reason: str | None = None


class Alignment(NamedTuple):
    """All fits of one ensemble."""

    estimators: dict[str, dict[str, Estimate]]  # estimator -> number -> estimate
    curve: list[dict[str, float | int | str]]  # one row per size and estimator
    num_correct: int
    dropped: dict[str, int]  # reason -> correct samples left out of the logarithm


def design(num_members: int, seed: int = 0) -> Design:
    """Draws the subsets; the same for the same number of members and seed."""
    rng = np.random.default_rng(seed)
    rows: list[np.ndarray] = []

    def row(members: np.ndarray) -> int:
        rows.append(np.isin(np.arange(num_members), members))
        return len(rows) - 1

    def draw(members: np.ndarray, num_splits: int) -> Draw:
        third = len(members) // 3
        splits = []
        for _ in range(num_splits if third >= 2 else 0):
            order = rng.permutation(members)
            groups = (order[:third], order[third : 2 * third], order[2 * third :])
            splits.append(tuple(row(group) for group in groups))
        return Draw(row(members), tuple(splits))

    def subsample(size: int, num_splits: int) -> Draw:
        return draw(np.sort(rng.permutation(num_members)[:size]), num_splits)

    full = draw(np.arange(num_members), NUM_SPLITS)
    half = num_members // 2
    halves = [subsample(half, 2) for _ in range(NUM_HALF_SAMPLES)] if half >= 2 else []
    sizes = [2**k for k in range(1, 20) if 2**k < num_members]
    curve = {m: tuple(subsample(m, 2) for _ in range(NUM_CURVE_DRAWS)) for m in sizes}
    curve[num_members] = (full,)
    return Design(torch.from_numpy(np.stack(rows)), full, tuple(halves), curve)


def fit_alignment(values: SubsetValues, design: Design, seed: int = 0) -> Alignment:
    """All estimators with intervals, and their curves over the number of members.

    Args:
        values: of `design.subsets` on all samples.
        design: the subsets.
        seed: of the bootstrap over samples.
    """
    num_samples = values.correct.shape[1]
    rng = np.random.default_rng(seed)
    weights = torch.ones(NUM_BOOTSTRAP + 1, num_samples, dtype=torch.float64)
    uniform = np.full(num_samples, 1 / num_samples)
    weights[1:] = torch.from_numpy(rng.multinomial(num_samples, uniform, NUM_BOOTSTRAP)).double()
    estimators, curve = {}, []
    for name, estimator in ESTIMATORS.items():
        reason = too_small(name, values, design.full)
        if reason:
            numbers = dict.fromkeys(NUMBERS[name], Estimate(None, reason=reason))
        else:
            usable = [half for half in design.halves if not too_small(name, values, half)]
            halves = [estimator(values, half, weights[:1]) for half in usable]
            full = estimator(values, design.full, weights)
            numbers = {key: _estimate(full[key], [half[key] for half in halves]) for key in full}
        estimators[name] = numbers
        curve += _curve(name, estimator, values, design, weights[:1])
    whole = design.full.whole
    correct = values.correct[whole]
    positive = values.variance_unbiased[whole] > 0
    dropped = {"zero variance": int((correct & ~positive).sum())}
    return Alignment(estimators, curve, int(correct.sum()), {k: n for k, n in dropped.items() if n})


def _estimate(full: Tensor, halves: list[Tensor]) -> Estimate:
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


def _curve(
    name: str,
    estimator: Callable[[SubsetValues, Draw, Weights], Columns],
    values: SubsetValues,
    design: Design,
    weights: Weights,
) -> list[dict[str, float | int | str]]:
    rows = []
    for size, draws in design.curve.items():
        usable = [draw for draw in draws if too_small(name, values, draw) is None]
        fits = [estimator(values, draw, weights) for draw in usable]
        for key in ("slope", "offset", "r_squared"):
            found = torch.cat([fit[key] for fit in fits if key in fit] or [torch.empty(0)])
            found = found[found.isfinite()]
            if len(found):
                spread = float(found.std()) if len(found) > 1 else None
                rows.append(
                    {
                        "estimator": name,
                        "number": key,
                        "members": size,
                        "mean": float(found.mean()),
                        "spread": spread,
                        "draws": len(found),
                    }
                )
    return rows
