"""Values that need no labels: what members say of a sample, and the risk to expect of it.

Symbols, for one sample with M members and K classes: p_m is member m's probabilities, p̄ their
mean, q their normalised geometric mean (`decompositions/other_losses.py`). These need no label:

    variance, variance_unbiased    mean_m ‖p_m - p̄‖², and with M - 1
    uncertainty                    1 - mean_m ‖p_m‖² (`calibration/gap.py`)
    kl_variance                    mean_m KL(q ‖ p_m), nats
    disagreement, variance_01      fraction of pairs of members that vote differently, unbiased;
                                   fraction of members that are outvoted
    risk_label_free                2 variance_unbiased + uncertainty; `_plug_in` with variance
    error_label_free               1 - max p̄
"""

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import (
    Unit,
    centred_squares,
    disagreement,
    jackknife_shift_of,
    log_moments_of,
    member_probs,
    residual,
    vote_counts,
)
from bvalign.analysis.groups import (
    MemberGroups,
    Sets,
    leave_one_out,
    loss_sums,
    member_sums,
    residuals,
    set_values,
)


class Unlabelled(NamedTuple):
    """Statistics that need no labels, one value per sample; float64 except `prediction`.

    With one member the variances, disagreement and risk_label_free are NaN; so are the KL variances
    where a member gives a class a probability of exactly zero, as votes do.
    """

    prediction: Annotated[Int[Tensor, " samples"], Unit("class id")]  # argmax p̄
    confidence: Annotated[
        Float[Tensor, " samples"], Unit("probability", shown=True, kind="proportion")
    ]  # max p̄
    variance: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", shown=True, kind="positive")
    ]
    variance_unbiased: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", kind="positive")
    ]
    uncertainty: Annotated[Float[Tensor, " samples"], Unit("squared probability", kind="positive")]
    kl_variance: Annotated[Float[Tensor, " samples"], Unit("nats", kind="positive")]
    kl_variance_jackknife: Annotated[Float[Tensor, " samples"], Unit("nats", kind="positive")]
    disagreement: Annotated[
        Float[Tensor, " samples"], Unit("fraction of pairs", shown=True, kind="proportion")
    ]
    variance_01: Annotated[
        Float[Tensor, " samples"], Unit("fraction of members", kind="proportion")
    ]
    risk_label_free: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", kind="positive")
    ]
    risk_label_free_plug_in: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", kind="positive")
    ]
    # 1 - max p̄, without cancellation
    error_label_free: Annotated[Float[Tensor, " samples"], Unit("probability", kind="proportion")]


class UnlabelledStatistics(NamedTuple):
    """Fields of `Unlabelled` for several sets of members."""

    confidence: Sets
    variance: Sets
    variance_unbiased: Sets
    uncertainty: Sets
    kl_variance: Sets
    kl_variance_jackknife: Sets  # Tukey's variance of a jackknifed value is that of the plain one
    disagreement: Sets
    variance_01: Sets
    risk_label_free: Sets
    risk_label_free_plug_in: Sets
    error_label_free: Sets


def unlabelled(logits: Float[Tensor, "members samples classes"]) -> Unlabelled:
    """Per-sample values of members that fit into memory together.

    >>> logits = torch.tensor([[[0.0, 0.0]], [[0.0, 0.0]]])      # two members, both undecided
    >>> values = unlabelled(logits)
    >>> values.confidence.item(), values.risk_label_free.item(), values.disagreement.item()
    (0.5, 0.5, 0.0)
    """
    num_members, _, num_classes = logits.shape
    probs, log_probs, votes, uncertainties = member_probs(logits)
    prob_sum = probs.sum(dim=0)
    prediction = prob_sum.argmax(dim=-1)
    error = -residual(prob_sum, prediction).gather(-1, prediction.unsqueeze(-1)).squeeze(-1)
    centred = centred_squares(probs, prediction)
    uncertainty = uncertainties.sum(dim=0) / num_members
    logs = log_moments_of(log_probs)
    kl_variance = logs.divergence / num_members
    undefined = torch.full_like(centred, torch.nan)
    counts = vote_counts(votes, num_classes)
    several = num_members > 1
    variance_unbiased = centred / (num_members - 1) if several else undefined
    return Unlabelled(
        prediction=prediction,
        confidence=prob_sum.amax(dim=-1) / num_members,
        variance=centred / num_members if several else undefined,
        variance_unbiased=variance_unbiased,
        uncertainty=uncertainty,
        kl_variance=kl_variance if several else undefined,
        kl_variance_jackknife=kl_variance + jackknife_shift_of(log_probs, logs),
        disagreement=disagreement(counts),
        variance_01=1 - counts.amax(dim=-1).double() / num_members if several else undefined,
        risk_label_free=2 * variance_unbiased + uncertainty,
        risk_label_free_plug_in=2 * centred / num_members + uncertainty,
        error_label_free=error / num_members,
    )


def without_groups(
    logits: Float[Tensor, "members samples classes"], groups: MemberGroups
) -> UnlabelledStatistics:
    """Statistics of each sample without each group of members."""
    members = member_probs(logits)
    # any class serves as the label; the most probable one keeps digits
    given = residuals(members.probs, members.probs.sum(dim=0).argmax(dim=-1))
    values = set_values(leave_one_out(member_sums(given, groups)), given)
    sums = leave_one_out(loss_sums(members, groups))
    m, confidence, variance = values.sums.count, values.largest, values.variance
    variance_unbiased, uncertainty = variance * m / (m - 1), sums.uncertainty / m
    kl_variance = -(sums.log_probs / m.unsqueeze(-1)).logsumexp(dim=-1)
    plug_in = 1 - sums.votes.square().sum(dim=-1) / m.square()
    return UnlabelledStatistics(
        confidence=confidence,
        variance=variance,
        variance_unbiased=variance_unbiased,
        uncertainty=uncertainty,
        kl_variance=kl_variance,
        kl_variance_jackknife=kl_variance,
        disagreement=plug_in * m / (m - 1),
        variance_01=1 - sums.votes.amax(dim=-1) / m,
        risk_label_free=2 * variance_unbiased + uncertainty,
        risk_label_free_plug_in=2 * variance + uncertainty,
        error_label_free=1 - confidence,
    )
