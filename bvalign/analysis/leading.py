"""The most probable classes of each sample, with their votes."""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

TOP = 4


class Leading(NamedTuple):
    """Leading TOP classes of each sample (all classes if fewer), most probable first."""

    classes: Int[Tensor, "samples top"]
    probs: Float[Tensor, "samples top"]  # mean_m p_m of those classes, float32
    votes: Int[Tensor, "samples top"]  # members that vote for each of them


def leading(
    mean_probs: Float[Tensor, "samples classes"], votes: Int[Tensor, "samples classes"]
) -> Leading:
    """Selects the leading classes of each sample.

    Args:
        mean_probs: mean_m p_m.
        votes: `other_losses.vote_counts`.

    >>> import torch
    >>> first = leading(torch.tensor([[0.1, 0.9]]), torch.tensor([[1, 3]]))
    >>> first.classes.tolist(), first.votes.tolist()
    ([[1, 0]], [[3, 1]])
    """
    probs, classes = mean_probs.topk(min(TOP, votes.shape[-1]), dim=-1)
    return Leading(classes.int(), probs.float(), votes.gather(-1, classes).int())
