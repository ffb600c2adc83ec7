"""Noise, squared bias and variance where a sample has many labels, such as answers of people.

Symbols, for one test sample: q in R^K is the distribution of its label Y, y its most probable
class, n_k of n people answered k and q̂_k = n_k / n; p_m is member m's probabilities, p̄ their mean
over M, g their normalised geometric mean (`other_losses.py`). For a label drawn from q,

    risk      E mean_m ‖p_m - e_Y‖² = noise + bias_sq + variance, exactly
    noise     1 - ‖q‖², which no member can avoid
    bias_sq   ‖p̄ - q‖²
    variance  mean_m ‖p_m - p̄‖², which needs no label

    kl_risk   E mean_m -log p_m(Y) = kl_noise + kl_bias + kl_variance, exactly
    kl_noise  -sum_k q_k log q_k
    kl_bias   KL(q ‖ g)

bias_sq - variance/(M-1) is unbiased over members for a given q, and can be negative.

Against the single label of a data set, noise counts as bias: the mean of ‖p̄ - e_Y‖² is
noise + bias_sq. With q̂ for q the sum stays exact, but noise is on average too low by noise/n and
bias_sq too high by noise/n + variance/M. `noise_unbiased`, n/(n-1) (1 - ‖q̂‖²), and
`bias_sq_unbiased` are unbiased over people and members; the latter can be negative. The risk is
unbiased as it is. (Squared loss; Kull and Flach 2015 for any proper score.)
"""

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions.columns import Unit
from bvalign.analysis.decompositions.log_probs import kl_divergence
from bvalign.analysis.decompositions.squared_loss import (
    Moments,
    decompose,
    label_noise,
    residual,
)

Labels = Int[Tensor, " samples"] | Float[Tensor, "samples classes"]
"""Class ids y, or distributions q."""


class SoftLabels(NamedTuple):
    """Distributions of the labels of some samples, float64."""

    probs: Float[Tensor, "samples classes"]  # q
    target: Int[Tensor, " samples"]  # y, the lowest class on ties
    offset: Float[Tensor, "samples classes"]  # q - e_y


class LabelNoise(NamedTuple):
    """What of the risk no member can avoid, one value per sample, float64."""

    noise: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", shown=True, kind="positive")
    ]
    kl_noise: Annotated[Float[Tensor, " samples"], Unit("nats", kind="positive")]


class SoftLabelDecomposition(NamedTuple):
    """Decomposition against soft labels, one value per sample, squared probability, float64."""

    noise: Float[Tensor, " samples"]
    bias_sq: Float[Tensor, " samples"]
    variance: Float[Tensor, " samples"]
    risk: Float[Tensor, " samples"]
    noise_unbiased: Float[Tensor, " samples"]  # needs two answers
    bias_sq_unbiased: Float[Tensor, " samples"]  # needs two answers and two members
    answers: Int[Tensor, " samples"]  # people behind the numbers


class AnswerNoise(NamedTuple):
    """The same where labels are shares of a few answers; unbiased values need two, else NaN."""

    noise_unbiased: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", kind="positive")
    ]
    answers: Annotated[Int[Tensor, " samples"], Unit("number")]

    @property
    def excess(self) -> Float[Tensor, " samples"]:
        """What the answers add to bias_sq on average, and take off the noise."""
        return self.noise_unbiased / self.answers


def soft_labels_of(probs: Float[Tensor, "samples classes"]) -> SoftLabels:
    """Soft labels from rows that sum to one."""
    probs = probs.double()
    target = probs.argmax(dim=-1)
    return SoftLabels(probs, target, residual(probs, target))


def noise_of(labels: SoftLabels) -> LabelNoise:
    """Noise under both losses; zero for one-hot rows, accurate where a row is almost so.

    >>> [round(v.item(), 4) for v in noise_of(soft_labels_of(torch.tensor([[0.5, 0.5]])))]
    [0.5, 0.6931]
    """
    at = labels.target.unsqueeze(-1)
    others = torch.special.entr(labels.probs.scatter(-1, at, 0.0)).sum(dim=-1)
    own = labels.probs.gather(-1, at) * labels.offset.gather(-1, at).log1p()
    return LabelNoise(label_noise(labels.offset, labels.target), others - own.squeeze(-1))


def answer_noise(noise: Float[Tensor, " samples"], answers: Int[Tensor, " samples"]) -> AnswerNoise:
    """The noise of the distribution that so many answers were drawn from."""
    factor = torch.where(answers > 1, answers / (answers.double() - 1), torch.nan)
    return AnswerNoise(noise * factor, answers)


def label_residual(
    probs: Float[Tensor, "samples classes"], labels: Labels
) -> Float[Tensor, "samples classes"]:
    """Probabilities minus their label: p - e_y, or its mean p - q over labels drawn from q."""
    if not labels.is_floating_point():
        return residual(probs, labels)
    target = labels.argmax(dim=-1)
    return residual(probs, target) - residual(labels, target)


def chance_of(labels: Labels, classes: Int[Tensor, " samples"]) -> Float[Tensor, " samples"]:
    """Probability that a class, one for each sample, is its label."""
    if not labels.is_floating_point():
        return (labels == classes).double()
    return labels.gather(-1, classes.unsqueeze(-1)).squeeze(-1)


def expected_error(
    magnitude: Float[Tensor, "*sets samples classes"], labels: SoftLabels
) -> Float[Tensor, "*sets samples"]:
    """1 - <p, q>, without cancellation where p and q are almost e_y.

    Args:
        magnitude: |p - e_y|.
        labels: of the samples.
    """
    at = labels.target.unsqueeze(-1)
    own = magnitude.gather(-1, at.expand(*magnitude.shape[:-1], 1)).squeeze(-1)
    others = (magnitude * labels.probs.scatter(-1, at, 0.0)).sum(dim=-1)
    return own - (1 - own) * labels.offset.gather(-1, at).squeeze(-1) - others


def expected_log(
    log_probs: Float[Tensor, "*sets samples classes"], labels: SoftLabels
) -> Float[Tensor, "*sets samples"]:
    """Mean of log p_Y over labels drawn from q; classes that no label has do not count."""
    q = labels.probs
    return torch.where(q > 0, q * log_probs, 0.0).sum(dim=-1)


def divergence_from(
    labels: SoftLabels, log_centre: Float[Tensor, "samples classes"]
) -> Float[Tensor, " samples"]:
    """KL(q ‖ g) in nats, from log g; -log g_y, to the last digit, where q is e_y."""
    at = labels.target.unsqueeze(-1)
    log_q = labels.probs.log().scatter(-1, at, labels.offset.gather(-1, at).log1p())
    some = labels.probs > 0
    terms = kl_divergence(*(torch.where(some, v, 0.0) for v in (log_q, log_centre)))
    terms += torch.where(some, 0.0, log_centre.exp()).sum(dim=-1)
    single = labels.offset.gather(-1, at) == 0
    return torch.where(single, -log_centre.gather(-1, at), terms.unsqueeze(-1)).squeeze(-1)


def decompose_soft_labels(
    state: Moments, answers: Int[Tensor, "samples classes"]
) -> SoftLabelDecomposition:
    """Decomposes the squared loss against the answers of people.

    Args:
        state: moments of all members, for any target.
        answers: counts of people who chose each class, at least one for each sample.

    Raises:
        ValueError: a sample without answers, or answers of another shape than the members'.

    >>> from bvalign.analysis.decompositions.squared_loss import moments
    >>> state = moments(torch.zeros(2, 1, 2), torch.tensor([0]))     # both members undecided
    >>> [round(float(v), 3) for v in decompose_soft_labels(state, torch.tensor([[3, 1]]))[:4]]
    [0.375, 0.125, 0.0, 0.5]
    """
    if answers.shape != state.prob_sum.shape:
        raise ValueError(
            f"answers must be (samples, classes) like the members' {tuple(state.prob_sum.shape)}, "
            f"got {tuple(answers.shape)}"
        )
    count = answers.sum(dim=-1)
    if (count < 1).any():
        raise ValueError(
            f"every sample needs an answer, {int((count < 1).sum())} have none; leave them out"
        )
    labels = soft_labels_of(answers.double() / count.unsqueeze(-1))
    values, noise = decompose(state, labels.target, labels.offset), noise_of(labels).noise
    people = answer_noise(noise, count)
    excess = people.excess + values.variance_unbiased / state.count
    return SoftLabelDecomposition(
        noise=noise,
        bias_sq=values.bias_sq,
        variance=values.variance,
        risk=values.risk,
        noise_unbiased=people.noise_unbiased,
        bias_sq_unbiased=values.bias_sq - excess,
        answers=count,
    )
