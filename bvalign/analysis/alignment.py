"""All slope fits of one ensemble, and how they change with its size.

What each estimator means stands in `slopes.py`, its intervals in `estimates.py`, which samples
count as correct in `design.py`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from bvalign.analysis.design import Design
from bvalign.analysis.estimates import Estimate, bootstrap_weights, estimate
from bvalign.analysis.slopes import ESTIMATORS, Draw, Weights, too_small
from bvalign.analysis.subsets import SubsetValues

CURVE_NUMBERS = ("slope", "offset", "r_squared")


class Alignment(NamedTuple):
    """All fits of one ensemble."""

    estimators: dict[str, dict[str, Estimate]]  # estimator -> number -> estimate
    curve: list[dict[str, float | int | str | None]]  # one row per size, estimator and number
    num_correct: int
    dropped: dict[str, int]  # reason -> correct samples left out of the logarithm


def fit_alignment(values: SubsetValues, design: Design, seed: int = 0) -> Alignment:
    """All estimators with intervals, and their curves over the number of members.

    Args:
        values: of `design.subsets` on all samples.
        design: the subsets, and which samples count as correct.
        seed: of the bootstrap over samples.
    """
    wrong = ~values.correct  # by the argmax, whatever is selected
    values = design.select(values)
    weights = bootstrap_weights(values.correct.shape[1], seed)
    estimators = {name: estimate(name, values, design, weights) for name in ESTIMATORS}
    whole = design.full.whole
    correct = values.correct[whole]
    positive = values.variance_unbiased[whole] > 0
    dropped = {"zero variance": int((correct & ~positive).sum())}
    dropped = {reason: count for reason, count in dropped.items() if count}
    curve = list(_curve(values, wrong, design, weights[:1]))
    return Alignment(estimators, curve, int(correct.sum()), dropped)


def _curve(
    values: SubsetValues, wrong: Bool[Tensor, "subsets samples"], design: Design, weights: Weights
) -> Iterator[dict[str, float | int | str | None]]:
    for size, draws in design.curve.items():
        found = {("mean", "bias_sq"): [values.bias_sq(d.whole).mean() for d in draws]}
        found["mean", "error"] = [wrong[d.whole].double().mean() for d in draws]
        found["mean", "variance"] = [values.variance(d.whole).mean() for d in draws]
        for name in ESTIMATORS:
            fits = [_fit(name, values, draw, weights) for draw in draws]
            for number in CURVE_NUMBERS:
                found[name, number] = [fit[number] for fit in fits if number in fit]
        for (name, number), numbers in found.items():
            kept = torch.tensor([float(n) for n in numbers if n.isfinite()], dtype=torch.float64)
            if len(kept):
                yield {
                    "estimator": name,
                    "number": number,
                    "members": size,
                    "mean": float(kept.mean()),
                    "spread": float(kept.std()) if len(kept) > 1 else None,
                    "draws": len(kept),
                }


def _fit(name: str, values: SubsetValues, draw: Draw, weights: Weights) -> dict[str, Tensor]:
    return {} if too_small(name, values, draw) else ESTIMATORS[name](values, draw, weights)
