"""Sufficient statistics of cross-entropy: sums over members, and what leaving one out shifts.

Symbols as in `other_losses.py`. With the mean L = mean_m log p_m, q = e^L / Z, and with
w_m = (L - log p_m) / (M-1) less its mean E_q w_m, for one sample

    mean_m KL(q ‖ p_m)  -log Z, wherever that keeps its digits; else the mean itself
    KL(q ‖ q_(-m))      log(1 + E_q [e^w_m - 1 - w_m]), all terms positive
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.decompositions.log_probs import kl_divergence, log_softmax, log_sum_exp
from bvalign.analysis.decompositions.pieces import in_pieces

DIGITS = 1 / 32
"""Least -log Z, relative to the larger of its two terms: their difference loses five bits."""


LEAST_CLASSES = 2
"""Of a sample: where members leave a single one, they exclude classes that it has."""


class LogMoments(NamedTuple):
    """Sufficient statistics of cross-entropy for the members seen so far; see `merge_logs`."""

    count: Int[Tensor, " samples"]  # members seen
    log_prob_sum: Float[Tensor, "samples classes"]  # sum_m log p_m
    divergence: Float[Tensor, " samples"]  # sum_m KL(q ‖ p_m)


def log_moments(logits: Float[Tensor, "members samples classes"]) -> LogMoments:
    """Moments of a block of members with finite logits, in pieces that stay in the cache."""
    return in_pieces(lambda piece: log_moments_of(log_softmax(piece)), logits)


def log_moments_of(log_probs: Float[Tensor, "members samples classes"]) -> LogMoments:
    """The same from log-probabilities."""
    log_prob_sum = log_probs.sum(dim=0)
    mean = log_prob_sum / len(log_probs)
    log_total, largest = log_sum_exp(mean), mean.amax(dim=-1)
    divergence = -len(log_probs) * log_total
    finite = log_prob_sum.isfinite()
    some = (~finite).any(dim=-1)  # members exclude a class, which the sample may not have
    if some.any():
        some &= ~(finite | (log_probs.amax(dim=0) == -torch.inf)).all(dim=-1)
    exact = (log_total < DIGITS * largest) & ~some
    rows = torch.nonzero(~exact).flatten()
    if len(rows):
        terms = kl_divergence(log_softmax(mean[rows]), log_probs[:, rows])
        divergence[rows] = terms.sum(dim=0)  # NaN if only some members exclude a class
        divergence[finite.sum(dim=-1) < LEAST_CLASSES] = torch.nan
    count = torch.full_like(divergence, len(log_probs), dtype=torch.int64)
    return LogMoments(count, log_prob_sum, divergence)


def merge_logs(a: LogMoments, b: LogMoments) -> LogMoments:
    """Moments of the union of two disjoint sets of members; either may be empty (count 0)."""
    count, log_prob_sum = a.count + b.count, a.log_prob_sum + b.log_prob_sum
    centre = log_centre(count, log_prob_sum)
    between = [
        torch.where(n > 0, n * kl_divergence(centre, log_centre(n, sums)), 0.0)
        for n, sums, _ in (a, b)
    ]
    return LogMoments(count, log_prob_sum, a.divergence + b.divergence + sum(between))


def jackknife_shift(
    logits: Float[Tensor, "members samples classes"], moments: LogMoments
) -> Float[Tensor, " samples"]:
    """Term of a block of members in (M-1)/M sum_m KL(q ‖ q_(-m)), nats; add those of all blocks.

    Args:
        logits: of a block of members.
        moments: of all members, including this block.

    Returns:
        float64; NaN with one member.
    """

    def shift(piece: Tensor, *rows: Tensor) -> Tensor:
        return jackknife_shift_of(log_softmax(piece), LogMoments(*rows))

    return in_pieces(shift, logits, *moments)


def jackknife_shift_of(
    log_probs: Float[Tensor, "members samples classes"], moments: LogMoments
) -> Float[Tensor, " samples"]:
    """The same from log-probabilities of a block of members."""
    count, log_prob_sum, _ = moments
    centre, others = log_centre(count, log_prob_sum), (count - 1).clamp(min=1).unsqueeze(-1)
    q = centre.exp()
    w = (log_prob_sum / count.unsqueeze(-1) - log_probs).div_(others)
    excluded = _excluded_by_all(log_probs, moments)
    terms = (w if excluded is None else w.masked_fill_(excluded, 0.0)) * q
    w -= terms.sum(dim=-1, keepdim=True)
    if excluded is not None:
        w.masked_fill_(excluded, 0.0)
    torch.expm1(w, out=terms)
    shift = terms.sub_(w).mul_(q).sum(dim=-1).log1p_().sum(dim=0)
    rows = torch.nonzero(~shift.isfinite()).flatten()
    if len(rows):  # e^w overflows
        sums = log_prob_sum[rows] - log_probs[:, rows]
        if excluded is not None:
            sums.masked_fill_(excluded[rows], -torch.inf)
        left = log_centre(count[rows] - 1, sums)
        shift[rows] = kl_divergence(centre[rows], left).sum(dim=0)
    return torch.where(count > 1, shift * (count - 1) / count, torch.nan)


def _excluded_by_all(
    log_probs: Float[Tensor, "members samples classes"], moments: LogMoments
) -> Bool[Tensor, "samples classes"] | None:
    """Marks classes that a sample does not have; None if there are none, or for a part of members.

    Classes that some members exclude stay as they are, and make the results NaN.
    """
    count, log_prob_sum, _ = moments
    if log_prob_sum.isfinite().all() or (count != len(log_probs)).any():
        return None
    several = log_prob_sum.isfinite().sum(dim=-1, keepdim=True) >= LEAST_CLASSES
    return (log_probs.amax(dim=0) == -torch.inf) & several


def log_centre(
    count: Int[Tensor, " samples"], log_prob_sum: Float[Tensor, "*members samples classes"]
) -> Float[Tensor, "*members samples classes"]:
    """Logarithm of q, the normalised geometric mean of the members."""
    return log_softmax(log_prob_sum / count.clamp(min=1).unsqueeze(-1))
