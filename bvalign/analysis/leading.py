"""The classes that lead at each sample: largest mean probability, with their votes."""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

TOP = 4


class Leading(NamedTuple):
    """The first TOP classes (all of them where there are fewer), the most probable first."""

    classes: Int[Tensor, "samples top"]
    probs: Float[Tensor, "samples top"]  # mean_m p_m of those classes
    votes: Int[Tensor, "samples top"]  # members that vote for them


def leading(
    mean_probs: Float[Tensor, "samples classes"], counts: Int[Tensor, "samples classes"]
) -> Leading:
    """The classes that lead.

    Args:
        mean_probs: mean_m p_m.
        counts: `losses.vote_counts`.

    >>> import torch
    >>> found = leading(torch.tensor([[0.1, 0.9]]), torch.tensor([[1, 3]]))
    >>> found.classes.tolist(), found.votes.tolist()
    ([[1, 0]], [[3, 1]])
    """
    probs, classes = mean_probs.topk(min(TOP, counts.shape[-1]), dim=-1)
    return Leading(classes, probs, counts.gather(-1, classes))
