"""Per-sample statistics computed piece by piece, so that their intermediate values stay cached."""

from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

PIECE = 2**18
"""Most logits of a piece: a float64 copy of it is 2 MiB, as in a range of `analyze`."""

Values = TypeVar("Values", Tensor, tuple)


def in_pieces(
    compute: Callable[..., Values],
    logits: Float[Tensor, "members samples classes"],
    *columns: Shaped[Tensor, "samples ..."],
) -> Values:
    """Computes values of each sample in pieces of at most `PIECE` logits, or of one sample.

    On a processor, where a block that outgrows the cache costs two to five times as much per logit;
    on other devices, whose launches take time instead, all samples at once.

    Args:
        compute: maps logits and columns of some samples to a tensor, or a NamedTuple of tensors,
            whose first axis is that of the samples.
        logits: of all samples.
        *columns: further inputs, one row per sample.

    >>> in_pieces(lambda logits: logits.sum(dim=(0, 2)), torch.ones(2, 3, 40_000))
    tensor([80000., 80000., 80000.])
    """
    num_members, num_samples, num_classes = logits.shape
    size = max(1, PIECE // max(1, num_members * num_classes))
    if num_samples <= size or logits.device.type != "cpu":
        return compute(logits, *columns)
    pieces = zip(logits.split(size, dim=1), *(c.split(size) for c in columns), strict=True)
    values = [compute(*piece) for piece in pieces]
    if isinstance(values[0], Tensor):
        return torch.cat(values)
    return type(values[0])(*map(torch.cat, zip(*values, strict=True)))
