"""One temperature for all members, fitted on held-out samples, and its effect on the gap.

Symbols: z_m is member m's logits, p_m(T) = softmax(z_m / T), y the label. Two objectives, mean
negative log-likelihoods in nats, differ in what they calibrate:

    nll_of_mean     -log mean_m p_m(T)_y: the ensemble mean. The default, as the gap identity is
                    about the mean: once it is calibrated, mean gap = mean uncertainty.
    nll_of_members  mean_m -log p_m(T)_y: each member, as Guo et al. (2017) do for one network.
                    Members calibrated this way have an underconfident mean (Rahaman & Thiery
                    2021): both can be calibrated only if the variance is zero.

They agree for a single member. To calibrate the geometric mean of the members, the centre of
cross-entropy, pass their mean logits as one member. Temperature scaling never reorders a member's
classes, so hard votes and their disagreement stay as they are.

Fit on samples used for nothing else: on the fitted samples themselves, the gap after scaling is no
test of calibration.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.calibration.gap import Gap, gap_identity
from bvalign.analysis.decompositions import Column, columns_of, member_probs
from bvalign.analysis.groups import (
    LeftOut,
    MemberGroups,
    MemberPart,
    leave_one_out,
    left_out,
    left_out_sums,
    loss_sums,
    member_sums,
    residuals,
    set_values,
)
from bvalign.analysis.intervals import Estimate

CHUNK = 2**18
"""Logits at a time."""

BRACKET = (1 / 64, 64.0)
"""Range of temperatures searched; an optimum outside it points to another problem."""

Objective = Callable[[Float[Tensor, "members samples"]], Float[Tensor, ""]]
"""Maps the members' log-probabilities of the labels to a loss, nats."""


class TemperatureEffect(NamedTuple):
    """Gap identity of each sample before and after scaling, and the paired difference."""

    before: Gap
    after: Gap
    change: Gap


class Temperature(NamedTuple):
    """Temperature scaling fitted on one half of some test samples and evaluated on the other."""

    temperature: float | None  # None where it is undefined; `reason` says why
    num_samples: int  # in each half
    effect: dict[str, dict[str, Estimate]] | None = None  # before, after, change -> field of Gap
    reason: str | None = None


def nll_of_mean(log_probs: Float[Tensor, "members samples"]) -> Float[Tensor, ""]:
    """Mean negative log-likelihood of the members' mean probabilities, nats."""
    return (math.log(len(log_probs)) - log_probs.logsumexp(dim=0)).mean()


def nll_of_members(log_probs: Float[Tensor, "members samples"]) -> Float[Tensor, ""]:
    """Negative log-likelihood of the members, averaged over members and samples, nats."""
    return -log_probs.mean()


def fit_temperature(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    *,
    nll: Objective = nll_of_mean,
) -> float:
    """Finds the temperature of least negative log-likelihood, by Newton's method in log T.

    Runs in float64. A step that leaves the bracket of the minimum, as any uphill step does, or is
    more than half the previous one is replaced by bisection. `nll_of_members` is convex in 1/T, so
    its minimum is the only one; that of `nll_of_mean` is a local one.

    Args:
        logits: of all members on held-out samples.
        target: class ids.
        nll: `nll_of_mean` or `nll_of_members`.

    Raises:
        ValueError: there is no minimum between the temperatures of `BRACKET`.

    >>> logits = torch.tensor([9.0, 1.0]).double().log().expand(1, 4, 2)  # 90 percent sure of 0,
    >>> round(fit_temperature(logits, torch.tensor([0, 0, 0, 1])), 9)     # right for 3 of 4
    2.0
    """
    logits = logits.double()
    low, high = map(math.log, BRACKET)
    if not _slopes(nll, logits, target, low)[0] < 0 < _slopes(nll, logits, target, high)[0]:
        raise ValueError(
            f"the negative log-likelihood has no minimum at temperatures from {BRACKET[0]} to "
            f"{BRACKET[1]}; are all {len(target)} samples right (T = 0 is best) or none better "
            "than chance (T = infinity is best)?"
        )
    log_t, step = 0.0, high - low
    while abs(step) > 1e-12:
        slope, curvature = _slopes(nll, logits, target, log_t)
        low, high = (low, log_t) if slope > 0 else (log_t, high)
        newton = -slope / curvature if curvature else math.inf
        halves = abs(newton) <= abs(step) / 2 and low <= log_t + newton <= high
        step = newton if halves else (low + high) / 2 - log_t
        log_t += step
    return math.exp(log_t)


def temperature_effect(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    temperature: float,
) -> TemperatureEffect:
    """Effect of a temperature on the gap, uncertainty and calibration residual of each sample.

    Args:
        logits: of all members, on samples that the temperature was not fitted on.
        target: class ids.
        temperature: T > 0; above 1 it softens the probabilities.

    Raises:
        ValueError: the temperature is not a finite positive number.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"temperature must be finite and positive, got {temperature}; does it come from "
            "fit_temperature?"
        )
    before = gap_identity(logits, target)
    after = gap_identity(logits.double() / temperature, target)
    change = Gap(*(new - old for new, old in zip(after, before, strict=True)))
    return TemperatureEffect(before, after, change)


def temperature(
    logits: Float[Tensor, "members chosen classes"],
    target: Int[Tensor, " chosen"],
    groups: MemberGroups,
    clusters: Int[Tensor, " chosen"] | None = None,
) -> Temperature:
    """Fits a temperature on a random half of some samples, and measures it on the other.

    Args:
        logits: of all members.
        target: class ids.
        groups: of the members.
        clusters: of the samples, each in one half but for the one in the middle; None if samples
            are independent.
    """
    half = len(target) // 2
    if half < 5 or not logits.isfinite().all():
        return Temperature(None, half, reason="needs ten samples with finite logits")
    order = _shuffled(len(target), clusters)
    fit, judge = order[:half], order[half : 2 * half]
    try:
        found = fit_temperature(logits[:, fit], target[fit])
    except ValueError as error:
        return Temperature(None, half, reason=str(error))
    logits, target = logits[:, judge], target[judge]
    effect = temperature_effect(logits, target, found)
    without = _left_out_effect(logits, target, found, groups)
    own = None if clusters is None else clusters[judge]
    means = {
        name: MemberPart(Gap._fields, sums, half, own).means(_columns(gap, name))
        for (name, gap), sums in zip(effect._asdict().items(), without, strict=True)
    }
    return Temperature(found, half, means)


def _columns(gap: Gap, name: str) -> dict[str, Column]:
    """Columns of a field of `TemperatureEffect`; a change can be below zero."""
    columns = columns_of(gap)
    if name != "change":
        return columns
    return {n: Column(c.values, c.unit._replace(kind="real")) for n, c in columns.items()}


def _shuffled(number: int, clusters: Int[Tensor, " chosen"] | None) -> Int[Tensor, " chosen"]:
    """Samples in random order, those of a cluster together."""
    rng = np.random.default_rng(0)
    if clusters is None:
        return torch.from_numpy(rng.permutation(number))
    _, place = clusters.unique(return_inverse=True)
    rank = rng.permutation(int(place.max()) + 1)[place.numpy()]
    return torch.from_numpy(np.argsort(rank, kind="stable"))


def _left_out_effect(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    temperature: float,
    groups: MemberGroups,
) -> list[LeftOut]:
    """Sums of the gap without each group of members: before, after and change."""
    length = max(1, CHUNK // (logits.shape[0] * logits.shape[2]))
    sums = []
    for rows in torch.arange(len(target)).split(length):
        part, label = logits[:, rows].double(), target[rows]
        before, after = (_gap_left_out(z, label, groups) for z in (part, part / temperature))
        change = Gap(*(new - old for new, old in zip(after, before, strict=True)))
        sums.append([left_out_sums(gap) for gap in (before, after, change)])
    return [
        LeftOut(*(torch.stack(parts).sum(dim=0) for parts in zip(*of_kind, strict=True)))
        for of_kind in zip(*sums, strict=True)
    ]


def _gap_left_out(logits: Tensor, target: Tensor, groups: MemberGroups) -> Gap:
    members = member_probs(logits)
    given = residuals(members.probs, target)
    values = set_values(leave_one_out(member_sums(given, groups)), given)
    found = left_out(values, leave_one_out(loss_sums(members, groups)), target)
    return Gap(*(getattr(found, name) for name in Gap._fields))


def _slopes(nll: Objective, logits: Tensor, target: Tensor, log_t: float) -> tuple[float, float]:
    """First and second derivative of the objective in log T.

    With d_k = (z_k - z_y) / T, <.> the mean under p(T) and l = log p_y(T) = -log sum_k exp d_k:
        dl / d log T = <d>,    d²l / (d log T)² = -<d> - (<d²> - <d>²)
    so autograd differentiates l along log T, not through the logits.
    """
    at = target.expand(logits.shape[:2]).unsqueeze(-1)
    d = (logits - logits.gather(-1, at)).div_(math.exp(log_t))
    weighted = d.softmax(dim=-1).mul_(d)
    mean, mean_square = weighted.sum(dim=-1), weighted.mul_(d).sum(dim=-1)
    first, second = mean, mean.square() - mean - mean_square
    with torch.enable_grad():
        step = torch.zeros((), dtype=torch.float64, device=logits.device, requires_grad=True)
        moved = nll(-d.logsumexp(dim=-1) + step * first + step.square() / 2 * second)
        (slope,) = torch.autograd.grad(moved, step, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, step)
    return slope.item(), curvature.item()
