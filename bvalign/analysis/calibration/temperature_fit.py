"""One temperature for all members, of least negative log-likelihood.

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
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import in_pieces

BRACKET = (1 / 64, 64.0)
"""Range of temperatures searched; an optimum outside it points to another problem."""

EXCLUDED = -1e300
"""In place of minus infinity, the logit of a class that a sample does not have; e to it is zero."""

Objective = Callable[[Float[Tensor, "members samples"]], Float[Tensor, ""]]
"""Maps the members' log-probabilities of the labels to a loss, nats."""


class _Means(NamedTuple):
    """Of each sample and member, for the derivatives along log T; see `_slopes`."""

    log_sum: Float[Tensor, "samples members"]  # -l
    d: Float[Tensor, "samples members"]  # <d>
    d_squared: Float[Tensor, "samples members"]  # <d²>


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


def _slopes(nll: Objective, logits: Tensor, target: Tensor, log_t: float) -> tuple[float, float]:
    """First and second derivative of the objective in log T.

    With d_k = (z_k - z_y) / T, <.> the mean under p(T) and l = log p_y(T) = -log sum_k exp d_k:
        dl / d log T = <d>,    d²l / (d log T)² = -<d> - (<d²> - <d>²)
    so autograd differentiates l along log T, not through the logits.
    """

    def means(logits: Tensor, target: Tensor) -> _Means:
        at = target.expand(logits.shape[:2]).unsqueeze(-1)
        d = (logits.double() - logits.gather(-1, at).double()).div_(math.exp(log_t))
        d.clamp_(min=EXCLUDED)  # 0 times infinity is NaN
        weighted, log_sum = d.softmax(dim=-1).mul_(d), d.logsumexp(dim=-1)
        mean, mean_square = weighted.sum(dim=-1), weighted.mul_(d).sum(dim=-1)
        return _Means(log_sum.T, mean.T, mean_square.T)

    log_sum, mean, mean_square = (part.T for part in in_pieces(means, logits, target))
    first, second = mean, mean.square() - mean - mean_square
    with torch.enable_grad():
        step = torch.zeros((), dtype=torch.float64, device=logits.device, requires_grad=True)
        moved = nll(-log_sum + step * first + step.square() / 2 * second)
        (slope,) = torch.autograd.grad(moved, step, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, step)
    return slope.item(), curvature.item()
