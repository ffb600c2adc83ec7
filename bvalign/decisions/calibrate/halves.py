"""Calibration judged on samples that it was not fitted to.

Samples are cut into random halves. The constants of each method are fitted by likelihood on one
half and judged on the other, and the halves swapped, so that every sample is judged once. A change
is paired: the loss after calibration minus that before, sample by sample. The constants to use are
the geometric means of those of the two halves.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.calibration import (
    AS_THEY_ARE,
    FittedScales,
    calibration_error,
    confidence,
    fit_scales,
    in_random_order,
    scaled_mean,
    squared_influence,
)
from bvalign.analysis.collect import draw_positions, one_thread_each
from bvalign.analysis.decompositions import Kind
from bvalign.analysis.intervals import (
    Estimate,
    Spread,
    estimate,
    exponential,
    samples_variance,
)
from bvalign.analysis.summary import Analysis
from bvalign.decisions.calibrate.methods import FREE, cannot_scale
from bvalign.decisions.calibrate.result import BEFORE, Calibrate, Losses, Method

MOST_LOGITS, LEAST_SAMPLES = 2**20, 400
"""Most logits that are used, but not too few samples."""

FEWEST = 20
ALONE = "over samples alone: calibration is that of these very members"
Halves = tuple[Int[Tensor, " first"], Int[Tensor, " second"]]


class _Judged(NamedTuple):
    """Losses of single samples."""

    cross_entropy: Float[Tensor, " samples"]
    brier: Float[Tensor, " samples"]
    error: float  # squared calibration error
    influence: Float[Tensor, " samples"]  # on it, as on a mean


def calibrate_ensemble(analysis: Analysis) -> Calibrate:
    """Fits each method on halves of the samples, and judges it on the other half.

    Args:
        analysis: with labels; at most 2^20 of its logits are used, but of 400 samples at least.
    """
    _, logits, target, clusters = analysis.kept
    size = len(logits), logits.shape[2]
    number = max(MOST_LOGITS // (size[0] * size[1]), LEAST_SAMPLES)
    rows = draw_positions(len(target), number, seed=1)
    logits, target = logits[:, rows], target[rows]
    clusters = None if clusters is None else clusters[rows]
    if reason := _unusable(analysis, logits):
        return Calibrate(*size, len(rows), reason=reason)
    halves = in_random_order(len(rows), clusters).tensor_split(2)
    with one_thread_each():
        plain = scaled_mean(logits, AS_THEY_ARE)
        judged, methods, start = {BEFORE: _judge(plain, target)}, {}, (AS_THEY_ARE,) * 2
        for name in FREE if size[0] > 1 else ("mean",):
            given = plain.unsqueeze(0) if name == "mean" else logits
            fits = [
                fit_scales(given[:, half], target[half], torch.tensor(FREE[name]).double(), begin)
                for half, begin in zip(halves, start, strict=True)
            ]
            start = [fit.scales for fit in fits] if name == "members" else start
            judged[name] = _judge(_crossed(given, halves, fits), target)
            losses = (judged[name], judged[BEFORE])
            constants = _constants(name, fits, halves, clusters)
            methods[name] = Method(
                constants, _losses(losses[0], clusters), _changes(*losses, clusters)
            )
    first, second = sorted(judged.values(), key=lambda found: found.cross_entropy.mean())[:2]
    return Calibrate(
        *size,
        len(rows),
        _losses(judged[BEFORE], clusters),
        methods,
        _mean(first.cross_entropy - second.cross_entropy, clusters),
    )


def _unusable(analysis: Analysis, logits: Float[Tensor, "members samples classes"]) -> str | None:
    """Why there is nothing to fit."""
    if analysis.soft_labels:
        return "labels are soft, and constants are fitted by the likelihood of one label a sample"
    if logits.shape[1] < FEWEST:
        return f"{logits.shape[1]} samples are too few, it takes {FEWEST}"
    return cannot_scale(logits)


def _crossed(
    logits: Float[Tensor, "members samples classes"], halves: Halves, fits: list[FittedScales]
) -> Float[Tensor, "samples classes"]:
    """Log-probabilities of each half with the constants of the other."""
    found = logits.new_empty(logits.shape[1:], dtype=torch.float64)
    for half, fit in zip(halves, reversed(fits), strict=True):
        found[half] = scaled_mean(logits[:, half], fit.scales)
    return found


def _judge(log_probs: Float[Tensor, "samples classes"], target: Int[Tensor, " samples"]) -> _Judged:
    probs, of_label = log_probs.exp(), log_probs.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    cells = confidence(probs, target)
    return _Judged(
        -of_label,
        probs.square().sum(dim=-1) - 2 * of_label.exp() + 1,
        float(calibration_error(cells).squared_debiased),
        squared_influence(cells, len(target)),
    )


def _losses(judged: _Judged, clusters: Int[Tensor, " samples"] | None) -> Losses:
    return Losses(
        _mean(judged.cross_entropy, clusters, kind="positive"),
        _mean(judged.brier, clusters, kind="positive"),
        _mean(judged.influence, clusters, judged.error),
    )


def _changes(after: _Judged, before: _Judged, clusters: Int[Tensor, " samples"] | None) -> Losses:
    return Losses(
        _mean(after.cross_entropy - before.cross_entropy, clusters),
        _mean(after.brier - before.brier, clusters),
        _mean(after.influence - before.influence, clusters, after.error - before.error),
    )


def _mean(
    influence: Float[Tensor, " samples"],
    clusters: Int[Tensor, " samples"] | None,
    value: float | None = None,
    kind: Kind = "real",
) -> Estimate:
    """The mean, or another value with such influences, with its interval over samples."""
    value = float(influence.mean()) if value is None else value
    spread = Spread(*samples_variance(influence, clusters))
    return estimate(value, spread, kind, without_members=ALONE)


def _constants(
    name: str,
    fits: list[FittedScales],
    halves: Halves,
    clusters: Int[Tensor, " samples"] | None,
) -> dict[str, Estimate]:
    """Geometric means of the constants of the halves, with intervals over samples."""
    number = sum(map(len, halves))
    influence = torch.empty(number, 2, dtype=torch.float64)
    for half, fit in zip(halves, fits, strict=True):
        influence[half] = fit.influence * number / len(half) / 2
    logs = torch.tensor([fit.scales for fit in fits]).double().log().mean(dim=0)
    sign = 1 if name == "two_constants" else -1  # a temperature divides
    found = (
        exponential(_mean(sign * influence[:, place], clusters, sign * float(log)))
        for place, log in enumerate(logs)
    )
    return dict(zip(("agree", "disagree") if sign > 0 else ("temperature",), found, strict=False))
