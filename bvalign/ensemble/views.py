"""Views of test images, whose logits are averaged."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.nn import functional

Views = Literal[1, 2, 6]
"""1: the image. 2: and its mirror image. 6: and both of two shifts by a pixel, which weigh half."""


def refuse_views(input: Num[Tensor, "batch ..."], views: Views) -> None:
    """Refuses several views of what is no image.

    Raises:
        ValueError: it is none.
    """
    if views > 1 and input.dim() != 4:
        raise ValueError(f"model.test_views={views} needs images; use --model.test_views=1")


def averaged(
    logits: Callable[[Tensor], Float[Tensor, "members batch classes"]],
    input: Num[Tensor, "batch ..."],
    views: Views,
) -> Float[Tensor, "members batch classes"]:
    """Mean logits over views of the input.

    Args:
        logits: of a view.
        input: normalised images, or anything for one view.
        views: number of views.

    Raises:
        ValueError: several views of what is no image.
    """
    refuse_views(input, views)
    if views == 1:
        return logits(input)
    crops = [input]
    if views == 6:
        height, width = input.shape[-2:]
        edge = functional.pad(input, (1, 1, 1, 1), "reflect")
        crops += [edge[..., :height, :width], edge[..., 2:, 2:]]
    of_crops = [(logits(crop) + logits(crop.flip(-1))) / 2 for crop in crops]
    if views == 2:
        return of_crops[0]
    return (of_crops[0] + torch.stack(of_crops[1:]).mean(dim=0)) / 2
