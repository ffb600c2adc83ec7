"""Per-sample decompositions of an ensemble's risk under cross-entropy and 0-1 loss.

Symbols, for one test sample with M members and K classes: p_m in R^K is member m's probabilities,
y the label, n_k the number of members that vote for class k.

Cross-entropy, in nats. The centre of the members is q, proportional to exp(mean_m log p_m): their
normalised geometric mean, not p̄ (Heskes 1998; Pfau 2013 and Gupta et al. 2022 for any Bregman
divergence; Yang et al. 2020 for networks):

    kl_risk      mean_m -log p_m(y) = kl_bias + kl_variance, exactly
    kl_bias      KL(e_y ‖ q) = -log q(y)
    kl_variance  mean_m KL(q ‖ p_m)

As estimates for the distribution that members are drawn from, kl_risk is unbiased, kl_bias too
high and kl_variance too low by the same amount, about kl_variance / M when the noise is small.
There is no exact correction. The jackknife M t - (M-1) mean_m t_(-m), where (-m) leaves member m
out, removes most of the error, and here it is a sum of positive terms:

    kl_variance_jackknife - kl_variance = kl_bias - kl_bias_jackknife
                                        = (M-1)/M sum_m KL(q ‖ q_(-m))

because sum_m KL(s ‖ p_m) = M KL(s ‖ q) + sum_m KL(q ‖ p_m) for every s. The same identity
merges two sets of members, so the variance is never a difference of large numbers.

0-1 loss (Domingos 2000; for the net variance, James 2003):

    main             argmax_k n_k, the lowest class on ties
    error_rate       1 - n_y/M = bias_01 + net_variance_01, exactly
    bias_01          1 where main != y, else 0
    variance_01      1 - n_main/M
    net_variance_01  variance_01 where main = y, else -n_y/M: there, votes against main help
    disagreement     fraction of pairs of members that vote differently (unbiased)
"""

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions.columns import Unit


class LogMoments(NamedTuple):
    """Sufficient statistics of cross-entropy for the members seen so far; see `merge_logs`."""

    count: Int[Tensor, " samples"]  # members seen
    log_prob_sum: Float[Tensor, "samples classes"]  # sum_m log p_m
    divergence: Float[Tensor, " samples"]  # sum_m KL(q ‖ p_m)


class CrossEntropy(NamedTuple):
    """Decomposition of the cross-entropy, one value per sample in nats; float64 except `count`.

    Average the jackknifed values over samples, never take their logarithm: with K = 10, a margin
    of 8 and Gaussian logits of standard deviation 2, kl_bias_jackknife is negative for 49% of the
    samples at M = 4, where even its mean is negative, and for 2% at M = 8. They are NaN with
    one member, and without the second pass over the members.
    """

    kl_risk: Annotated[Float[Tensor, " samples"], Unit("nats", positive=True)]
    kl_bias: Annotated[Float[Tensor, " samples"], Unit("nats", positive=True)]
    kl_variance: Annotated[Float[Tensor, " samples"], Unit("nats", positive=True)]
    kl_bias_jackknife: Annotated[Float[Tensor, " samples"], Unit("nats")]
    kl_variance_jackknife: Annotated[Float[Tensor, " samples"], Unit("nats", positive=True)]
    count: Int[Tensor, " samples"]  # members behind the numbers


class ZeroOne(NamedTuple):
    """Decomposition of the 0-1 loss per sample, fractions of members or of pairs.

    float64 except `main` and `count`. The disagreement needs two members and is NaN with one.
    """

    main: Annotated[Int[Tensor, " samples"], Unit("class id")]
    error_rate: Annotated[Float[Tensor, " samples"], Unit("fraction of members", proportion=True)]
    bias_01: Annotated[Float[Tensor, " samples"], Unit("0 or 1", proportion=True)]
    variance_01: Annotated[Float[Tensor, " samples"], Unit("fraction of members", proportion=True)]
    net_variance_01: Annotated[Float[Tensor, " samples"], Unit("fraction of members")]
    disagreement: Annotated[
        Float[Tensor, " samples"], Unit("fraction of pairs", shown=True, proportion=True)
    ]
    count: Int[Tensor, " samples"]  # members behind the numbers


def log_softmax(logits: Float[Tensor, "... classes"]) -> Float[Tensor, "... classes"]:
    """Log-probabilities in float64, accurate to rounding even where p is almost one.

    torch.log_softmax gives 0 instead of -1e-26 at a margin of 60: it adds the 1 of the largest
    class before taking the logarithm. Here log1p leaves that class out of the sum.
    """
    shifted = logits.double() - logits.double().amax(dim=-1, keepdim=True)
    rest = shifted.exp().scatter(-1, shifted.argmax(dim=-1, keepdim=True), 0.0)
    return shifted - rest.sum(dim=-1, keepdim=True).log1p()


def kl_divergence(
    log_p: Float[Tensor, "samples classes"], log_q: Float[Tensor, "*members samples classes"]
) -> Float[Tensor, "*members samples"]:
    """KL(p ‖ q) as sum_k p (e^t - 1 - t), t = log q - log p, in nats: no term is negative."""
    p, t = log_p.exp(), log_q - log_p
    large = log_q.exp() - p - p * t  # e^t may overflow where p e^t does not
    return torch.where(t.abs() < 1, p * (t.expm1() - t), large).sum(dim=-1)


def log_moments(logits: Float[Tensor, "members samples classes"]) -> LogMoments:
    """Moments of a block of members with finite logits; needs about six float64 copies of it."""
    log_probs = log_softmax(logits)
    log_prob_sum = log_probs.sum(dim=0)
    divergence = kl_divergence(log_softmax(log_prob_sum / len(logits)), log_probs).sum(dim=0)
    count = torch.full_like(divergence, len(logits), dtype=torch.int64)
    return LogMoments(count, log_prob_sum, divergence)


def merge_logs(a: LogMoments, b: LogMoments) -> LogMoments:
    """Moments of the union of two disjoint sets of members; either may be empty (count 0)."""
    count, log_prob_sum = a.count + b.count, a.log_prob_sum + b.log_prob_sum
    centre = _log_centre(count, log_prob_sum)
    between = [n * kl_divergence(centre, _log_centre(n, sums)) for n, sums, _ in (a, b)]
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
    count, log_prob_sum, _ = moments
    centre = _log_centre(count, log_prob_sum)
    others = _log_centre(count - 1, log_prob_sum - log_softmax(logits))
    shift = kl_divergence(centre, others).sum(dim=0)
    return torch.where(count > 1, shift * (count - 1) / count, torch.nan)


def decompose_logs(
    moments: LogMoments,
    target: Int[Tensor, " samples"],
    shift: Float[Tensor, " samples"] | None = None,
) -> CrossEntropy:
    """Per-sample values of one (merged) set of members.

    Args:
        moments: of all members.
        target: class ids.
        shift: sum over all blocks of `jackknife_shift`; jackknifed values are NaN without it.
    """
    count, log_prob_sum, divergence = moments
    at_label = target.unsqueeze(-1)
    bias = -_log_centre(count, log_prob_sum).gather(-1, at_label).squeeze(-1)
    variance = divergence / count
    shift = torch.full_like(bias, torch.nan) if shift is None else shift
    return CrossEntropy(
        kl_risk=-log_prob_sum.gather(-1, at_label).squeeze(-1) / count,
        kl_bias=bias,
        kl_variance=variance,
        kl_bias_jackknife=bias - shift,
        kl_variance_jackknife=variance + shift,
        count=count,
    )


def cross_entropy(
    logits: Float[Tensor, "members samples classes"], target: Int[Tensor, " samples"]
) -> CrossEntropy:
    """Cross-entropy values, jackknifed ones included, of members that fit into memory together.

    >>> logits = torch.tensor([[[0.0, 0.0]], [[0.0, 0.0]]])      # two members, both undecided
    >>> cross_entropy(logits, torch.tensor([1])).kl_bias.item()  # log 2
    0.6931471805599453
    """
    moments = log_moments(logits)
    return decompose_logs(moments, target, jackknife_shift(logits, moments))


def vote_counts(
    votes: Int[Tensor, "members samples"], num_classes: int
) -> Int[Tensor, "samples classes"]:
    """Counts of votes for each class, int64; those of disjoint sets of members add up.

    Args:
        votes: class ids, `logits.argmax(dim=-1)` of each member (the lowest class on ties).
        num_classes: K.

    Raises:
        ValueError: a vote is not a class id.
    """
    if votes.numel() and not 0 <= votes.min() <= votes.max() < num_classes:
        raise ValueError(
            f"votes must be class ids from 0 to {num_classes - 1}, got {votes.min()} to "
            f"{votes.max()}; are they of this data set?"
        )
    counts = torch.zeros(votes.shape[1], num_classes, dtype=torch.int64, device=votes.device)
    return counts.scatter_add(1, votes.T.long(), torch.ones_like(votes.T, dtype=torch.int64))


def disagreement(counts: Int[Tensor, "samples classes"]) -> Float[Tensor, " samples"]:
    """Fraction of pairs of members that vote differently, float64; NaN with one member.

    >>> disagreement(torch.tensor([[3, 1]]))                     # three pairs of six
    tensor([0.5000], dtype=torch.float64)
    """
    count = counts.sum(dim=-1)
    pairs = count * (count - 1)
    agreeing = (counts * (counts - 1)).sum(dim=-1)
    return torch.where(pairs > 0, (pairs - agreeing).double() / pairs, torch.nan)


def zero_one(counts: Int[Tensor, "samples classes"], target: Int[Tensor, " samples"]) -> ZeroOne:
    """0-1 values of the votes of one set of members, from exact integer sums.

    >>> counts = torch.tensor([[3, 1]])                          # three votes to one
    >>> zero_one(counts, torch.tensor([1])).net_variance_01      # the main class is wrong
    tensor([-0.2500], dtype=torch.float64)
    """
    count = counts.sum(dim=-1)
    main = counts.argmax(dim=-1)
    for_main, for_label = (counts.gather(-1, k.unsqueeze(-1)).squeeze(-1) for k in (main, target))
    bias = (main != target).long()
    return ZeroOne(
        main=main,
        error_rate=(count - for_label).double() / count,
        bias_01=bias.double(),
        variance_01=(count - for_main).double() / count,
        net_variance_01=(count - for_label - bias * count).double() / count,
        disagreement=disagreement(counts),
        count=count,
    )


def _log_centre(
    count: Int[Tensor, " samples"], log_prob_sum: Float[Tensor, "*members samples classes"]
) -> Float[Tensor, "*members samples classes"]:
    """Logarithm of q, the normalised geometric mean of the members."""
    return log_softmax(log_prob_sum / count.clamp(min=1).unsqueeze(-1))
