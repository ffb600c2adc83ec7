"""All slope fits of one ensemble, also over its number of members.

`estimators.py` defines each estimator, `intervals.py` its intervals, `member_subsets.py` which
samples count as correct.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from bvalign.analysis.slopes.estimators import ESTIMATORS
from bvalign.analysis.slopes.intervals import Estimate, bootstrap_weights, estimate
from bvalign.analysis.slopes.lines import ReplicateWeights
from bvalign.analysis.slopes.member_subsets import Design
from bvalign.analysis.slopes.subset_values import SubsetValues

NOT_IN_CURVES = ("intercept", "spread")
"""Numbers of an estimator that have no curve over the number of members."""


class Alignment(NamedTuple):
    """Slope fits of one ensemble."""

    estimators: dict[str, dict[str, Estimate]]  # estimator -> number -> estimate
    curve: list[dict[str, float | int | str | None]]  # one row per size, estimator and number
    num_correct: int
    dropped: dict[str, int]  # reason -> correct samples without a logarithm


def fit_alignment(values: SubsetValues, design: Design, seed: int = 0) -> Alignment:
    """Fits all estimators with intervals, and their curves over the number of members.

    Args:
        values: of `design.subsets` on all samples.
        design: the subsets, and which samples count as correct.
        seed: of the bootstrap over samples.
    """
    wrong = ~values.correct  # by argmax, whatever the selection
    values = design.select(values)
    replicate_weights = bootstrap_weights(values.correct.shape[1], seed)
    estimators = {
        name: estimate(estimator, values, design, replicate_weights)
        for name, estimator in ESTIMATORS.items()
    }
    whole = design.full.whole
    correct = values.correct[whole]
    positive = values.variance_unbiased[whole] > 0
    dropped = {"zero variance": int((correct & ~positive).sum())}
    dropped = {reason: count for reason, count in dropped.items() if count}
    curve = list(_curve(values, wrong, design, replicate_weights[:1]))
    return Alignment(estimators, curve, int(correct.sum()), dropped)


def _curve(
    values: SubsetValues,
    wrong: Bool[Tensor, "subsets samples"],
    design: Design,
    replicate_weights: ReplicateWeights,
) -> Iterator[dict[str, float | int | str | None]]:
    for size, subsets in design.curve.items():
        rows = [subset.whole for subset in subsets]
        at_size = {("mean", "bias_sq"): [values.bias_sq(row).mean() for row in rows]}
        at_size["mean", "error"] = [wrong[row].double().mean() for row in rows]
        at_size["mean", "variance"] = [values.variance(row).mean() for row in rows]
        for name, estimator in ESTIMATORS.items():
            usable = [subset for subset in subsets if not estimator.undefined(values, subset)]
            fits = [estimator.fit(values, subset, replicate_weights) for subset in usable]
            for number in estimator.numbers:
                if number not in NOT_IN_CURVES:
                    at_size[name, number] = [fit[number] for fit in fits]
        for (name, number), of_subsets in at_size.items():
            kept = [float(value) for value in of_subsets if value.isfinite()]
            kept = torch.tensor(kept, dtype=torch.float64)
            if len(kept):
                yield {
                    "estimator": name,
                    "number": number,
                    "members": size,
                    "mean": float(kept.mean()),
                    "spread": float(kept.std()) if len(kept) > 1 else None,
                    "draws": len(kept),
                }
