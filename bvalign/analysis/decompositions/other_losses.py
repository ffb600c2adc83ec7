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
from bvalign.analysis.decompositions.log_probs import log_softmax
from bvalign.analysis.decompositions.log_statistics import (
    LogMoments,
    jackknife_shift_of,
    log_centre,
    log_moments_of,
)
from bvalign.analysis.decompositions.pieces import in_pieces
from bvalign.analysis.decompositions.soft_labels import (
    SoftLabels,
    divergence_from,
    expected_log,
)


class CrossEntropy(NamedTuple):
    """Decomposition of the cross-entropy, one value per sample in nats; float64 except `count`.

    Average the jackknifed values over samples, never take their logarithm: with K = 10, a margin
    of 8 and Gaussian logits of standard deviation 2, kl_bias_jackknife is negative for 49% of the
    samples at M = 4, where even its mean is negative, and for 2% at M = 8. They are NaN with
    one member, and without the second pass over the members.
    """

    kl_risk: Annotated[Float[Tensor, " samples"], Unit("nats", kind="positive")]
    kl_bias: Annotated[Float[Tensor, " samples"], Unit("nats", kind="positive")]
    kl_variance: Annotated[Float[Tensor, " samples"], Unit("nats", kind="positive")]
    kl_bias_jackknife: Annotated[Float[Tensor, " samples"], Unit("nats")]
    kl_variance_jackknife: Annotated[Float[Tensor, " samples"], Unit("nats", kind="positive")]
    count: Int[Tensor, " samples"]  # members behind the numbers


class ZeroOne(NamedTuple):
    """Decomposition of the 0-1 loss per sample, fractions of members or of pairs.

    float64 except `main` and `count`. The disagreement needs two members and is NaN with one.
    """

    main: Annotated[Int[Tensor, " samples"], Unit("class id")]
    error_rate: Annotated[Float[Tensor, " samples"], Unit("fraction of members", kind="proportion")]
    bias_01: Annotated[Float[Tensor, " samples"], Unit("0 or 1", kind="proportion")]
    variance_01: Annotated[
        Float[Tensor, " samples"], Unit("fraction of members", kind="proportion")
    ]
    net_variance_01: Annotated[
        Float[Tensor, " samples"], Unit("fraction of members", kind="difference")
    ]
    disagreement: Annotated[
        Float[Tensor, " samples"], Unit("fraction of pairs", shown=True, kind="proportion")
    ]
    count: Int[Tensor, " samples"]  # members behind the numbers


def decompose_logs(
    moments: LogMoments,
    target: Int[Tensor, " samples"],
    shift: Float[Tensor, " samples"] | None = None,
    labels: SoftLabels | None = None,
) -> CrossEntropy:
    """Per-sample values of one (merged) set of members.

    Args:
        moments: of all members.
        target: class ids.
        shift: sum over all blocks of `jackknife_shift`; jackknifed values are NaN without it.
        labels: soft labels whose most probable classes are the target; None for class ids.
    """
    count, log_prob_sum, divergence = moments
    at_label, centre = target.unsqueeze(-1), log_centre(count, log_prob_sum)
    if labels is None:
        bias = -centre.gather(-1, at_label).squeeze(-1)
        total = log_prob_sum.gather(-1, at_label).squeeze(-1)
    else:
        bias, total = divergence_from(labels, centre), expected_log(log_prob_sum, labels)
    variance = divergence / count
    shift = torch.full_like(bias, torch.nan) if shift is None else shift
    return CrossEntropy(
        kl_risk=-total / count,
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
    return in_pieces(lambda x, y: cross_entropy_of(log_softmax(x), y), logits, target)


def cross_entropy_of(
    log_probs: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    labels: SoftLabels | None = None,
) -> CrossEntropy:
    """The same from log-probabilities; `labels` as for `decompose_logs`."""
    moments = log_moments_of(log_probs)
    return decompose_logs(moments, target, jackknife_shift_of(log_probs, moments), labels)


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
