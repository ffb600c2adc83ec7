"""The scale of images that networks see."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


class Normalise:
    """Scales uint8 images to mean 0 and standard deviation 1.

    The constants are copied to a device once, not for each batch.

    Args:
        mean: per channel, of pixels scaled to [0, 1].
        std: likewise.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = (
            torch.tensor(values, dtype=torch.float32).view(-1, 1, 1) for values in (mean, std)
        )

    def __call__(
        self, images: UInt8[Tensor, "*batch channels height width"]
    ) -> Float[Tensor, "*batch channels height width"]:
        if self.mean.device != images.device:
            self.mean, self.std = self.mean.to(images.device), self.std.to(images.device)
        return (images.float() / 255 - self.mean) / self.std
