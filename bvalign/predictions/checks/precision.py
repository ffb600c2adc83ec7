"""Digits that scores lose when they are stored in 16 bits."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

NOTED_ERROR = 0.01
"""Relative error of a sample's squared bias from which 16-bit scores are said to cost digits."""


def precision_note(
    key: str,
    dtypes: Sequence[str],
    num_samples: int,
    blocks: Iterable[Float[Tensor, "members block classes"]],
) -> tuple[str, ...]:
    """Counts the samples for which 16 bits cost digits.

    Args:
        key: logits or probs.
        dtypes: names of the members' number types.
        num_samples: N.
        blocks: float64 scores of successive samples; not read if no member is stored in 16 bits.
    """
    half, info = _half(dtypes), coarsest(dtypes)
    if info is None:
        return ()
    errors = (_rounding_error(key, scores, info) for scores in blocks)
    count = sum(int((error >= NOTED_ERROR).sum()) for error in errors)
    return (
        f"{key}: {', '.join(half)} costs digits: the squared bias of {count} of {num_samples} "
        f"samples may be off by {NOTED_ERROR:.0%} or more; save float32 logits",
    )


def coarsest(dtypes: Sequence[str]) -> torch.finfo | None:
    """The coarsest of the number types of 16 bits; None if there are none."""
    infos = (torch.finfo(getattr(torch, name)) for name in _half(dtypes))
    return max(infos, key=lambda info: info.eps, default=None)


def _half(dtypes: Sequence[str]) -> list[str]:
    return sorted({"float16", "bfloat16"} & set(dtypes))


def _rounding_error(
    key: str, scores: Float[Tensor, "members samples classes"], info: torch.finfo
) -> Float[Tensor, " samples"]:
    """Bounds the relative error of bias_sq from rounding the scores.

    Logits off by eps/2 max|z| change the probability of each wrong class by eps max|z|, its square
    by twice that. Probabilities keep eps/2 until the largest wrong one is below the normal numbers.
    """
    if key == "logits":
        finite = scores.abs().where(scores != -torch.inf, 0.0)
        return 2 * info.eps * finite.amax(dim=-1).amax(dim=0)
    second = scores.topk(2, dim=-1).values[..., 1].amin(dim=0)
    return info.eps * (info.smallest_normal / second).clamp(min=1)
