"""Noise, squared bias and variance where a sample has many labels, such as answers of people.

Symbols, for one test sample: q in R^K is the distribution of its label Y, n_k of n people answered
k and q̂_k = n_k / n; p_m is member m's probabilities, p̄ their mean over M. For a label drawn from q,

    risk      E mean_m ‖p_m - e_Y‖² = noise + bias_sq + variance, exactly
    noise     1 - ‖q‖², which no member can avoid
    bias_sq   ‖p̄ - q‖²
    variance  mean_m ‖p_m - p̄‖², which needs no label

Against the single label of a data set, noise counts as bias: the mean of ‖p̄ - e_Y‖² is
noise + bias_sq. With q̂ for q the sum stays exact, but noise is on average too low by noise/n and
bias_sq too high by noise/n + variance/M. `noise_unbiased`, n/(n-1) (1 - ‖q̂‖²), and
`bias_sq_unbiased` are unbiased over people and members; the latter can be negative. The risk is
unbiased as it is. (Squared loss; Kull and Flach 2015 for any proper score.)
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions.squared_loss import Moments, decompose, residual


class SoftLabelDecomposition(NamedTuple):
    """Decomposition against soft labels, one value per sample, squared probability, float64."""

    noise: Float[Tensor, " samples"]
    bias_sq: Float[Tensor, " samples"]
    variance: Float[Tensor, " samples"]
    risk: Float[Tensor, " samples"]
    noise_unbiased: Float[Tensor, " samples"]  # needs two answers
    bias_sq_unbiased: Float[Tensor, " samples"]  # needs two answers and two members
    answers: Int[Tensor, " samples"]  # people behind the numbers


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
    # relative to the most frequent answer, both differences are accurate to rounding
    main = answers.argmax(dim=-1)
    values = decompose(state, main)
    labels = residual(answers.double() / count.unsqueeze(-1), main)
    mean = residual(state.prob_sum / state.count.unsqueeze(-1), main)
    bias_sq = (mean - labels).square().sum(dim=-1)
    at_main = labels.gather(-1, main.unsqueeze(-1)).squeeze(-1)
    noise = -2 * at_main - labels.square().sum(dim=-1)
    noise_unbiased = torch.where(count > 1, noise * count / (count - 1), torch.nan)
    excess = noise_unbiased / count + values.variance_unbiased / state.count
    return SoftLabelDecomposition(
        noise=noise,
        bias_sq=bias_sq,
        variance=values.variance,
        risk=noise + bias_sq + values.variance,
        noise_unbiased=noise_unbiased,
        bias_sq_unbiased=bias_sq - excess,
        answers=count,
    )
