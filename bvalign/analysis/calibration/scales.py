"""Two constants for an ensemble: one scales what its members agree on, one what they disagree on.

Symbols: z_m in R^K is member m's logits, z̄ their mean over members, y the label. The calibrated
prediction is the mean of softmaxes

    p(a, b) = mean_m softmax(a z̄ + b (z_m - z̄))

    a = b = 1/T    one temperature T for every member (`temperature_fit.nll_of_mean`)
    b = 0          the temperature 1/a of the geometric mean of the members
    one member     z_m = z̄: b has no effect

What members agree on is z̄, the centre of the cross-entropy (`other_losses.py`). The scale a makes
all samples less confident alike; b does so only where members differ. Neither depends on the
constants that a softmax leaves open, one for each member and sample.

Both are fitted by the likelihood of p and a weak prior, by Newton's method in log a and log b,
each normal around 0 with standard deviation 1 (a factor of e). The prior counts where the
likelihood says little: few wrong samples, members that hardly differ. With s = a z̄ + b (z_m - z̄),
A = a (z̄ - z̄_y), B = b ((z_m - z̄) - (z_m - z̄)_y), <.> the mean under softmax(s), and l the
log-probability of the label,

    dl/d(log a) = -<A>              d²l/d(log a)² = -<A> - <A²> + <A>²
                                    d²l/d(log a) d(log b) = -<AB> + <A><B>

and likewise for b. For the mean over members, weights in proportion to e^l take the place of 1/M.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import in_pieces

EXCLUDED = -1e100
"""In place of minus infinity, the logit of a class that a sample does not have; its square is
finite."""

FEW, STEPS, TOLERANCE = 2**16, 50, 1e-2
"""Logits of a first fit, most steps, and the step in log a or log b that is the last one: what is
left after it is about its square."""


class Scales(NamedTuple):
    """a and b."""

    agree: float
    disagree: float


AS_THEY_ARE = Scales(1.0, 1.0)


class FittedScales(NamedTuple):
    """Scales with what each sample adds to them."""

    scales: Scales
    influence: Float[Tensor, "samples 2"]  # on log a and log b, as on a mean


class _Slopes(NamedTuple):
    """-log p_y of each sample, with its derivatives along log a and log b."""

    loss: Float[Tensor, " samples"]
    gradient: Float[Tensor, "samples 2"]
    curvature: Float[Tensor, "samples 2 2"]


def scaled_mean(
    logits: Float[Tensor, "members samples classes"], scales: Scales
) -> Float[Tensor, "samples classes"]:
    """Logarithm of p(a, b), float64.

    >>> logits = torch.tensor([[[4.0, 0.0]], [[0.0, 4.0]]])  # two members that agree on nothing
    >>> scaled_mean(logits, Scales(0.5, 0.5)).exp().tolist()
    [[0.5, 0.5]]
    """
    a, b = scales

    def mean(part: Tensor) -> Tensor:
        z = _finite(part)
        log_probs = z.mul(b).add_(z.mean(dim=0), alpha=a - b).log_softmax(dim=-1)
        return log_probs.logsumexp(dim=0).sub_(math.log(len(part)))

    return in_pieces(mean, logits)


def fit_scales(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    free: Float[Tensor, "2 free"],
    start: Scales = AS_THEY_ARE,
) -> FittedScales:
    """Finds the scales of greatest likelihood, for some of the samples first.

    Args:
        logits: of all members, in random order of the samples.
        target: class ids.
        free: directions in log a and log b along which they move; [[1], [1]] is one temperature.
        start: where the search begins.

    >>> logits = torch.tensor([9.0, 1.0]).double().log().expand(1, 4000, 2)  # 90% sure of 0, and
    >>> right, one = torch.tensor([0, 0, 0, 1]).repeat(1000), torch.ones(2, 1).double()  # for 75%
    >>> round(fit_scales(logits, right, one).scales.agree, 2)
    0.5
    """
    at, few = torch.tensor(start).double().log(), FEW // (logits.shape[0] * logits.shape[2])
    for rows in dict.fromkeys((min(max(few, 1), len(target)), len(target))):
        part = logits[:, :rows], target[:rows]
        slopes = _slopes(*part, at)
        for _ in range(STEPS):
            step = _newton(slopes, at, free)
            if step.abs().max() < TOLERANCE:
                at = at + step
                break
            moved = _slopes(*part, at + step)
            while _loss(moved, at + step) > _loss(slopes, at) and step.abs().max() > TOLERANCE:
                step = step / 2
                moved = _slopes(*part, at + step)
            at, slopes = at + step, moved
    along = free @ torch.linalg.inv(_curvature(slopes, free)) @ free.T
    return FittedScales(Scales(*at.exp().tolist()), -slopes.gradient @ along)


def _loss(slopes: _Slopes, at: Float[Tensor, " 2"]) -> Float[Tensor, ""]:
    """What is minimised: the mean loss, and the prior's part of it."""
    return slopes.loss.mean() + at.square().sum() / 2 / len(slopes.loss)


def _curvature(slopes: _Slopes, free: Float[Tensor, "2 free"]) -> Float[Tensor, "free free"]:
    prior = torch.eye(2, dtype=torch.float64) / len(slopes.loss)
    return free.T @ (slopes.curvature.mean(dim=0) + prior) @ free


def _newton(
    slopes: _Slopes, at: Float[Tensor, " 2"], free: Float[Tensor, "2 free"]
) -> Float[Tensor, " 2"]:
    """A Newton step, downhill also where the loss is not convex, and at most one long."""
    gradient = (slopes.gradient.mean(dim=0) + at / len(slopes.loss)) @ free
    values, vectors = torch.linalg.eigh(_curvature(slopes, free))
    step = -free @ vectors @ (vectors.T @ gradient / values.abs().clamp(min=1e-12))
    return step / step.abs().max().clamp(min=1.0)


def _slopes(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    at: Float[Tensor, " 2"],
) -> _Slopes:
    """The loss of each sample at log a and log b."""
    scale_a, scale_b = at.exp().tolist()

    def slopes(part: Tensor, label: Tensor) -> _Slopes:
        d = _finite(part).transpose(0, 1).contiguous()  # (samples, members, classes)
        d -= d.gather(-1, label[:, None, None].expand(*d.shape[:2], 1))
        centre = d.mean(dim=1, keepdim=True)
        a, b = scale_a * centre, d.sub_(centre).mul_(scale_b)
        p = a + b
        largest = p.amax(dim=-1, keepdim=True)
        total = p.sub_(largest).exp_().sum(dim=-1, keepdim=True)
        log_prob = -(largest + total.log()).squeeze(-1)
        p /= total
        of_a, of_aa = (p @ torch.cat([a, a.square()], dim=1).mT).unbind(dim=-1)
        p *= b
        of_b, of_ab = (p @ torch.cat([torch.ones_like(a), a], dim=1).mT).unbind(dim=-1)
        of_bb = p.mul_(b).sum(dim=-1)
        first = torch.stack([-of_a, -of_b])
        aa, ab, bb = of_aa - of_a.square(), of_ab - of_a * of_b, of_bb - of_b.square()
        second = torch.stack([first[0] - aa, -ab, -ab, first[1] - bb])
        w = log_prob.softmax(dim=-1)
        mean = log_prob.logsumexp(dim=-1) - math.log(len(part))
        gradient = (w * first).sum(dim=-1)
        curvature = _outer(gradient) - (w * (second + _outer(first))).sum(dim=-1)
        return _Slopes(-mean, -gradient.T, curvature.T.reshape(-1, 2, 2))

    return in_pieces(slopes, logits, target)


def _outer(first: Float[Tensor, "2 ..."]) -> Float[Tensor, "4 ..."]:
    """Products of the two with each other, row by row."""
    return torch.stack([first[i] * first[j] for i in (0, 1) for j in (0, 1)])


def _finite(logits: Float[Tensor, "members samples classes"]) -> Tensor:
    """A copy in float64, with classes that samples lack far away."""
    return logits.double().clamp(min=EXCLUDED)
