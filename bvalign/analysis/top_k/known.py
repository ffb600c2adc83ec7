"""What top-k logits tell of probabilities: some exactly, and of the others their sum and a limit.

Of a member m and a sample, with S_m the k classes kept of K:

    p_mk             exact for k in S_m, as the rest belongs to the partition function
    r_m              the sum of the other probabilities, exact
    0 <= p_mk <= t_m for the others: t_m is the second smallest probability kept, or r_m if less

Arrays go over the classes that any member keeps, and those asked for; padding, whose probability is
zero, makes all samples alike. The classes outside are known to no member and all alike.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import member_probs
from bvalign.top_k import TopK, bound_of_others


class Known(NamedTuple):
    """Probabilities of some classes of each sample; float64."""

    probs: Float[Tensor, "members samples some"]  # zero where unknown
    log_probs: Float[Tensor, "members samples some"]  # -inf where unknown, and of padding
    unknown: Bool[Tensor, "members samples some"]
    rest: Float[Tensor, "members samples"]  # r
    log_rest: Float[Tensor, "members samples"]
    limit: Float[Tensor, "members samples"]  # t
    log_limit: Float[Tensor, "members samples"]
    uncertainty: Float[Tensor, "members samples"]  # 1 - sum of p² over S_m
    outside: Float[Tensor, " samples"]  # classes without a column
    num_others: int  # K - k
    asked: Int[Tensor, "samples asked"]  # columns of the classes asked for

    @property
    def squares_of_rest(self) -> tuple[Tensor, Tensor]:
        """Least and largest sum of the squares of the other probabilities (members, samples)."""
        r, t = self.rest, self.limit
        full = torch.where(t > 0, (r / t).floor(), 0.0)
        least = r.square() / max(self.num_others, 1)
        return least, full * t.square() + (r - full * t).clamp(min=0).square()


def known_of(top: TopK, asked: Int[Tensor, "samples asked"]) -> Known:
    """Probabilities of the classes that any member keeps.

    Args:
        top: of all members.
        asked: further classes that get a column, such as the label.
    """
    num_members, num_samples, number = top.logits.shape
    logits, rest = top.logits.double(), top.rest.double().unsqueeze(-1)
    found = member_probs(torch.cat([logits, rest], dim=-1))
    logs, log_rest = found.log_probs[..., :-1], found.log_probs[..., -1]
    place, columns = _columns(top.indices, asked)
    width = int(columns.max())
    at = place[:, : num_members * number].view(num_samples, num_members, number).transpose(0, 1)
    shape = (num_members, num_samples, width)
    padding = torch.arange(width, device=at.device) >= columns.unsqueeze(-1)
    unknown = (~padding).expand(shape).scatter(-1, at, False)
    r = found.probs[..., -1]
    fair = r / max(top.num_others, 1)  # of which some class has as much: rounding apart, at most t
    limit = torch.minimum(torch.maximum(bound_of_others(logs).exp(), fair), r)
    return Known(
        probs=r.new_zeros(shape).scatter(-1, at, found.probs[..., :-1]),
        log_probs=r.new_full(shape, -torch.inf).scatter(-1, at, logs),
        unknown=unknown,
        rest=r,
        log_rest=log_rest,
        limit=limit,
        log_limit=torch.minimum(bound_of_others(logs), log_rest),
        uncertainty=found.uncertainty + r.square(),
        outside=(top.num_classes - columns).double(),
        num_others=top.num_others,
        asked=place[:, num_members * number :],
    )


def _columns(
    indices: Int[Tensor, "members samples top"], asked: Int[Tensor, "samples asked"]
) -> tuple[Int[Tensor, "samples classes"], Int[Tensor, " samples"]]:
    """Numbers the different classes of each sample: the column of each, and how many there are."""
    classes = torch.cat([indices.transpose(0, 1).flatten(1).long(), asked], dim=1)
    ordered, order = classes.sort(dim=1)
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    column = first.cumsum(dim=1) - 1
    return torch.empty_like(classes).scatter_(1, order, column), column[:, -1] + 1
