"""Noise, squared bias and variance where a sample has many labels, such as answers of people.

Symbols, for one test sample: q in R^K is the law of its label, n_k of n people answered k and
q̂ = n_k / n; p_m is the probabilities of member m of M, p̄ their mean. For a label drawn from q,

    risk      E mean_m ‖p_m - e_Y‖² = noise + bias_sq + variance, exactly
    noise     1 - ‖q‖²: what no member can avoid
    bias_sq   ‖p̄ - q‖²
    variance  mean_m ‖p_m - p̄‖², which needs no label

Against the single label y of a data set, noise is counted as bias: the mean of ‖p̄ - e_Y‖² is
noise + bias_sq. With q̂ for q the sum stays exact, but noise is too low by noise/n on average and
bias_sq too high by that, beside variance/M. `noise_unbiased`, n/(n-1) (1 - ‖q̂‖²), and
`bias_sq_unbiased` are right on average over people and members; the latter can be below zero.
The risk is unbiased as it is. (Squared loss; Kull and Flach 2015 for any proper score.)
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions.squared_loss import Moments, decompose, residual


class LabelLaw(NamedTuple):
    """One number per sample, squared probability, float64."""

    noise: Float[Tensor, " samples"]
    bias_sq: Float[Tensor, " samples"]
    variance: Float[Tensor, " samples"]
    risk: Float[Tensor, " samples"]
    noise_unbiased: Float[Tensor, " samples"]  # needs two answers
    bias_sq_unbiased: Float[Tensor, " samples"]  # needs two answers and two members
    answers: Int[Tensor, " samples"]  # people behind the numbers


def decompose_label_law(state: Moments, answers: Int[Tensor, "samples classes"]) -> LabelLaw:
    """The decomposition against the answers of people.

    Args:
        state: of all members.
        answers: how many people chose each class, at least one for each sample.

    Raises:
        ValueError: a sample without answers, or answers of another shape than the members'.

    >>> from bvalign.analysis.decompositions.squared_loss import moments
    >>> state = moments(torch.zeros(2, 1, 2), torch.tensor([0]))     # both members undecided
    >>> [round(float(v), 3) for v in decompose_label_law(state, torch.tensor([[3, 1]]))[:4]]
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
    # both differences to the most frequent answer are right to the last digits
    main = answers.argmax(dim=-1)
    values = decompose(state, main)
    law = residual(answers.double() / count.unsqueeze(-1), main)
    mean = residual(state.prob_sum / state.count.unsqueeze(-1), main)
    bias_sq = (mean - law).square().sum(dim=-1)
    at_main = law.gather(-1, main.unsqueeze(-1)).squeeze(-1)
    noise = -2 * at_main - law.square().sum(dim=-1)
    noise_unbiased = torch.where(count > 1, noise * count / (count - 1), torch.nan)
    excess = noise_unbiased / count + values.variance_unbiased / state.count
    return LabelLaw(
        noise=noise,
        bias_sq=bias_sq,
        variance=values.variance,
        risk=noise + bias_sq + values.variance,
        noise_unbiased=noise_unbiased,
        bias_sq_unbiased=bias_sq - excess,
        answers=count,
    )
