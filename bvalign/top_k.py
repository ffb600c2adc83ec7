"""Some of the logits of each sample, and the log-sum-exp of the others.

Of K classes a member keeps k: the k - 1 of the largest logits, the lowest class first on ties, and
one more, which is the next or, where that is not among them, the label. The partition function
stays exact. Of each other class, with t the second smallest of the logits kept, it is known that

    its logit is at most t, and the exponentials of all K - k of them sum to e^rest
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

LEAST_KEPT = 2
"""Classes to keep: the one voted for, and the label."""

ROWS = 2**22
"""Logits of which the rest is summed at a time."""


class TopK(NamedTuple):
    """Logits of k of K classes for each member and sample, in any order."""

    logits: Float[Tensor, "members samples top"]
    indices: Int[Tensor, "members samples top"]  # their classes
    rest: Float[Tensor, "members samples"]  # log-sum-exp of the others; -inf if there are none
    num_classes: int

    @property
    def num_others(self) -> int:
        """Classes that are not kept, K - k."""
        return self.num_classes - self.logits.shape[-1]

    def of_members(self, members: list[int]) -> "TopK":
        """Some of the members."""
        return self._replace(
            logits=self.logits[members], indices=self.indices[members], rest=self.rest[members]
        )


def join_members(tops: Sequence[TopK]) -> TopK:
    """Members with the same samples and as many classes, put together."""
    arrays = (torch.cat(values) for values in zip(*(top[:3] for top in tops), strict=True))
    return TopK(*arrays, tops[0].num_classes)


def bound_of_others(
    logits: Float[Tensor, "*members samples top"],
) -> Float[Tensor, "*members samples"]:
    """The largest logit that a class may have which is not kept.

    >>> bound_of_others(torch.tensor([[3.0, 2.0, 1.0]])).tolist()
    [2.0]
    """
    return logits.topk(min(2, logits.shape[-1]), dim=-1, largest=False).values.amax(dim=-1)


def dense(top: TopK) -> Float[Tensor, "members samples classes"]:
    """Logits of all classes that are among the possible ones: the others share the rest evenly.

    >>> one = TopK(torch.zeros(1, 1, 1), torch.tensor([[[2]]]), torch.zeros(1, 1), 3)
    >>> dense(one).softmax(dim=-1)[0, 0].tolist()
    [0.25, 0.25, 0.5]
    """
    logits, rest = top.logits.double(), top.rest.double()
    each = rest - math.log(top.num_others) if top.num_others else rest
    each = torch.minimum(each, bound_of_others(logits)).unsqueeze(-1)
    whole = each.repeat(1, 1, top.num_classes)
    return whole.scatter_(-1, top.indices.long(), logits)


def keep_top(
    logits: Float[Tensor, "samples classes"], number: int, target: Int[Tensor, " samples"]
) -> TopK:
    """Keeps the largest logits of one member, and that of the label in any case.

    Args:
        logits: of all classes.
        number: k, at least `LEAST_KEPT` and at most K.
        target: class ids.
    """
    parts = [
        _keep(rows, number, labels)
        for rows, labels in zip(
            logits.split(max(1, ROWS // logits.shape[-1])),
            target.split(max(1, ROWS // logits.shape[-1])),
            strict=True,
        )
    ]
    kept, indices, rest = (torch.cat(values).unsqueeze(0) for values in zip(*parts, strict=True))
    small = torch.int16 if logits.shape[-1] <= 2**15 else torch.int32
    return TopK(kept, indices.to(small), rest, logits.shape[-1])


def _keep(logits: Tensor, number: int, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    indices = logits.topk(number, dim=-1).indices
    for place, needed in ((0, logits.argmax(dim=-1)), (-1, target)):
        lacks = (indices != needed.unsqueeze(-1)).all(dim=-1)
        indices[lacks, place] = needed[lacks]
    others = logits.double().scatter(-1, indices, -torch.inf)
    return logits.gather(-1, indices), indices, others.logsumexp(dim=-1)
