"""What top-k logits say of the most probable class of a mean.

Symbols as in `extremes.py`: the mean probability of class k lies in [g_k, g_k + c_k]. The class
with the largest g is the prediction where no other class can have as much; the vote of a member is
for the largest of the logits that it keeps.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bvalign.analysis.top_k.known import Known
from bvalign.analysis.top_k.squared import ROUNDING, Bound, unknown_part


class Prediction(NamedTuple):
    """The most probable class of the mean, and its probability."""

    decided: Bool[Tensor, " samples"]  # that of the largest g for certain
    label_may_win: Bool[Tensor, " samples"]  # the first of the classes asked for
    confidence: Bound  # max p̄
    error: Bound  # 1 - max p̄, with its digits


def prediction(known: Known, weights: Float[Tensor, " members"]) -> Prediction:
    """Tells which predictions are certain, for members of weights that add up to one."""
    limit, number, total = unknown_part(known, weights)
    limit = torch.minimum(limit, total.unsqueeze(-1)).where(number > 0, 0.0)
    g = (weights.view(-1, 1, 1) * known.probs).sum(dim=0)
    g = torch.cat([g, torch.zeros_like(g[:, :1])], dim=-1)
    largest, top = g.max(dim=-1, keepdim=True)
    high = g + limit
    rivals = high.where(limit > 0, 0.0).scatter(-1, top, 0.0).amax(dim=-1)
    first = high.argmax(dim=-1, keepdim=True)
    rest = (g.scatter(-1, at, 0.0).sum(dim=-1) + total for at in (top, first))
    error_high, error = rest
    error = (error - limit.gather(-1, first).squeeze(-1)).clamp(min=0)
    certain = largest.squeeze(-1) * (1 - ROUNDING)
    label = known.asked[:, :1]
    of_label = high.gather(-1, label).squeeze(-1)
    others = g.scatter(-1, label, 0.0).amax(dim=-1)
    return Prediction(
        decided=(rivals < certain) & (limit.gather(-1, top).squeeze(-1) < certain),
        label_may_win=of_label >= others * (1 - ROUNDING),
        confidence=Bound(largest.squeeze(-1), high.amax(dim=-1)).outward(),
        error=Bound(error, error_high).outward(error_high),
    )
