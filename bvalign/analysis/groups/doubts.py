"""Doubts: how unsure an ensemble is of each prediction, from sums over its members.

Symbols, for one sample: p_m the probabilities of member m, p̄ their mean, y' = argmax p̄ the
prediction, H the entropy in nats. Each doubt is zero where the members are sure and alike, and
grows; a prediction is accepted where its doubt is small.

    confidence          1 - max p̄
    margin              1 - (largest p̄ - second largest p̄)
    entropy             H(p̄)
    variance            mean_m ‖p_m - p̄‖² = mean_m ‖p_m‖² - ‖p̄‖²
    mutual_information  H(p̄) - mean_m H(p_m) = mean_m KL(p_m ‖ p̄)     (Depeweg et al. 2018)
    votes               share of the members that do not vote for y'

The first three look at the mean alone; the last three need members that differ. 1 - max p̄ is the
sum of the other probabilities, so that certain samples keep their order. A variance or information
below the rounding of the two numbers whose difference it is, is zero.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import MemberProbs
from bvalign.analysis.groups.member_groups import MemberGroups
from bvalign.analysis.groups.member_sums import ROUNDING, by_group, loss_sums

LEAST_LOG = -1e300
"""In place of the logarithm of zero, whose product with zero is zero."""


class DoubtSums(NamedTuple):
    """Sums over the members of each set; those of disjoint sets add up."""

    count: Float[Tensor, "*sets 1"]  # members of the set
    probs: Float[Tensor, "*sets samples classes"]
    uncertainty: Float[Tensor, "*sets samples"]  # sum of 1 - ‖p_m‖²
    entropy: Float[Tensor, "*sets samples"]  # sum of H(p_m)
    votes: Float[Tensor, "*sets samples classes"]  # members that vote for each class


class Doubts(NamedTuple):
    """Doubts of each sample; float64 but the prediction."""

    prediction: Int[Tensor, "*sets samples"]
    confidence: Float[Tensor, "*sets samples"]
    margin: Float[Tensor, "*sets samples"]
    entropy: Float[Tensor, "*sets samples"]
    variance: Float[Tensor, "*sets samples"]
    mutual_information: Float[Tensor, "*sets samples"]
    votes: Float[Tensor, "*sets samples"]


def doubts(sums: DoubtSums) -> Doubts:
    """Doubts of each sample from the sums of each set of members.

    >>> p = torch.tensor([[[0.5, 0.5]], [[1.0, 0.0]]]).double()  # two members, one sample
    >>> log, votes = p.log(), p.argmax(dim=-1)
    >>> members = MemberProbs(p, log, votes, 1 - p.square().sum(dim=-1))
    >>> found = doubts(sums_of_all(members, p.sum(dim=0), torch.tensor([[2, 0]])))
    >>> found.confidence.item(), found.margin.item(), found.variance.item()
    (0.25, 0.5, 0.125)
    """
    members = sums.count
    mean = sums.probs / members.unsqueeze(-1)
    prediction = mean.argmax(dim=-1, keepdim=True)
    others = mean.scatter(-1, prediction, 0.0)
    confidence, second = others.sum(dim=-1), others.amax(dim=-1)
    entropy = torch.special.entr(others).sum(dim=-1) - (1 - confidence) * (-confidence).log1p()
    uncertainty = 2 * confidence - confidence.square() - others.square().sum(dim=-1)
    voted = sums.votes.gather(-1, prediction).squeeze(-1)
    return Doubts(
        prediction=prediction.squeeze(-1),
        confidence=confidence,
        margin=confidence + second,
        entropy=entropy,
        variance=_difference(uncertainty, sums.uncertainty / members),
        mutual_information=_difference(entropy, sums.entropy / members),
        votes=(members - voted) / members,
    )


def doubt_sums(members: MemberProbs, groups: MemberGroups) -> DoubtSums:
    """Sums over each group of members."""
    losses = loss_sums(members, groups)
    count = torch.tensor(groups.sizes, dtype=torch.float64).unsqueeze(1)
    probs, entropy = by_group(members.probs, groups), by_group(_entropy(members), groups)
    return DoubtSums(count, probs, losses.uncertainty, entropy, losses.votes)


def sums_of_all(
    members: MemberProbs,
    prob_sum: Float[Tensor, "samples classes"],
    votes: Int[Tensor, "samples classes"],
) -> DoubtSums:
    """Sums over all members, of which two are known already.

    Args:
        members: what they say of each sample.
        prob_sum: of their probabilities.
        votes: `other_losses.vote_counts`.
    """
    count = torch.full((1,), len(members.probs), dtype=torch.float64)
    spread = (members.uncertainty.sum(dim=0), _entropy(members).sum(dim=0))
    return DoubtSums(count, prob_sum, *spread, votes.double())


def _entropy(members: MemberProbs) -> Float[Tensor, "members samples"]:
    entropy = -torch.linalg.vecdot(members.probs, members.log_probs)
    if entropy.isfinite().all():
        return entropy
    return -torch.linalg.vecdot(members.probs, members.log_probs.clamp(min=LEAST_LOG))


def _difference(of_mean: Tensor, mean: Tensor) -> Tensor:
    """What members that differ add, without rounding."""
    difference = of_mean - mean
    return torch.where(difference > ROUNDING * of_mean, difference, 0.0)
