"""Generalization Disagreement Equality: error rates against the disagreement of members.

Symbols, for one test sample with M members: n_k of them vote for class k, y is the label, p_m is
member m's probabilities, p̄ their mean. The comparison has two versions, for hard votes (Jiang et
al. 2022) and for probabilities:

                 error           disagreement, unbiased                   plug-in
    hard         1 - n_y/M       fraction of pairs voting differently     1 - sum_k (n_k/M)²
    soft         1 - p̄_y         1 - mean over pairs of <p_m, p_m'>       1 - ‖p̄‖²

Soft is hard with probabilities in place of votes. The means over samples of error and
disagreement agree if the fractions of votes (hard) or the mean probabilities (soft) are
class-wise calibrated; they differ by at most the class-aggregated calibration error. Calibration
of infinitely many members implies equality for the unbiased disagreement, calibration of these M
members for the plug-in. For hard votes the squared loss of the one-hot predictions says the same:
risk = 2 error, variance_unbiased = disagreement, gap_unbiased = 2 (error - disagreement).
Equal means are no evidence that any single sample is predicted well (Kirsch & Gal 2022).
"""

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import (
    Moments,
    Unit,
    decompose,
    residual,
    zero_one,
)

PROPORTION, DIFFERENCE = Unit("fraction", kind="proportion"), Unit("fraction", kind="difference")


class DisagreementEquality(NamedTuple):
    """Error and disagreement of each sample, fractions from 0 to 1; their means are compared.

    The differences are paired, error - disagreement of each sample: error and disagreement are
    correlated, so their standard errors must not be combined. The unbiased disagreement needs
    two members and is NaN with one.
    """

    error: Annotated[Float[Tensor, " samples"], PROPORTION]
    disagreement: Annotated[Float[Tensor, " samples"], PROPORTION]
    plug_in: Annotated[Float[Tensor, " samples"], PROPORTION]  # disagreement of these very members
    difference: Annotated[Float[Tensor, " samples"], DIFFERENCE]
    difference_plug_in: Annotated[Float[Tensor, " samples"], DIFFERENCE]


def hard_equality(
    counts: Int[Tensor, "samples classes"], target: Int[Tensor, " samples"]
) -> DisagreementEquality:
    """Compares error and disagreement of hard votes.

    Args:
        counts: `other_losses.vote_counts` of all members.
        target: class ids.

    >>> import torch
    >>> counts = torch.tensor([[1, 1], [2, 0]])                  # two members, two samples
    >>> hard_equality(counts, torch.tensor([0, 0])).difference.mean()
    tensor(-0.2500, dtype=torch.float64)
    """
    votes = zero_one(counts, target)
    fractions = counts.double() / votes.count.unsqueeze(-1)
    return equality(votes.error_rate, votes.disagreement, 1 - fractions.square().sum(dim=-1))


def pair_disagreement(
    votes: Int[Tensor, "members samples"], num_classes: int
) -> Int[Tensor, "members members"]:
    """Number of samples at which each pair of members votes differently; blocks add up.

    Args:
        votes: class ids, of at most 2^24 samples: float32 counts them exactly.
        num_classes: K.

    >>> pair_disagreement(torch.tensor([[0, 1, 2], [0, 2, 1]]), 3).tolist()
    [[0, 2], [2, 0]]
    """
    one_hot = torch.zeros(*votes.shape, num_classes).scatter_(-1, votes.unsqueeze(-1), 1.0)
    flat = one_hot.flatten(1)
    return votes.shape[1] - (flat @ flat.T).long()


def soft_equality(
    moments: Moments, uncertainty_sum: Float[Tensor, " samples"], target: Int[Tensor, " samples"]
) -> DisagreementEquality:
    """Compares error and disagreement of probabilities; disagreement = uncertainty + variance.

    Args:
        moments: of all members.
        uncertainty_sum: `gap.uncertainty_sum` of all members.
        target: class ids, those of the moments.
    """
    values = decompose(moments, target)
    uncertainty = uncertainty_sum / moments.count
    mean_residual = residual(moments.prob_sum, target) / moments.count.unsqueeze(-1)
    error = -mean_residual.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return equality(error, uncertainty + values.variance_unbiased, uncertainty + values.variance)


def equality(
    error: Float[Tensor, " samples"],
    disagreement: Float[Tensor, " samples"],
    plug_in: Float[Tensor, " samples"],
) -> DisagreementEquality:
    """The same from error and disagreement themselves."""
    return DisagreementEquality(error, disagreement, plug_in, error - disagreement, error - plug_in)
