"""Random crops and flips, computed on the device from numbers that are drawn on the host."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int16, Int64, UInt8
from torch import Tensor

from bvalign.randomness import Streams

PaddingMode = Literal["zeros", "reflect"]


class Resident(NamedTuple):
    """One split on one device."""

    images: UInt8[Tensor, "samples channels height width"] | Int64[Tensor, "samples words"]
    target: Int64[Tensor, "*members samples"]  # with members: labels of their own
    padding: int = 0  # pixels that `images` have on each side besides those of the data set

    def unpadded(
        self,
    ) -> UInt8[Tensor, "samples channels height width"] | Int64[Tensor, "samples words"]:
        """The images of the data set, a view."""
        if not self.padding:
            return self.images
        inside = slice(self.padding, -self.padding)
        return self.images[..., inside, inside]


class Augmentation(NamedTuple):
    """Random crop after padding and horizontal flip; (0, False) does nothing.

    Args:
        padding: pixels added on each side before a crop of the original size.
        flip: mirror left and right with probability one half; `alternating` draws once for each
            image, which then is mirrored in every other epoch.
        padding_mode: black pixels, or those of the image mirrored at its edge.
    """

    padding: int = 0
    flip: bool | Literal["alternating"] = False
    padding_mode: PaddingMode = "zeros"

    @property
    def num_shifts(self) -> int:
        """Numbers that `shifts` makes for each sample."""
        return 0 if self == Augmentation() else 3

    def pad(self, split: Resident) -> Resident:
        """Adds the padding, unless it is there."""
        if split.padding == self.padding:
            return split
        images = split.unpadded()
        if self.padding_mode == "zeros":
            images = torch.nn.functional.pad(images, (self.padding,) * 4)
        else:
            rows, columns = (self._reflected(size, images.device) for size in images.shape[-2:])
            images = images[..., rows[:, None], columns]
        return Resident(images, split.target, self.padding)

    def _reflected(self, size: int, device: torch.device) -> Int64[Tensor, " padded"]:
        """Places of pixels along an axis mirrored at both ends, 2 1 0 1 2 ... for two at one."""
        places = torch.arange(-self.padding, size + self.padding, device=device).abs()
        return size - 1 - (size - 1 - places).abs()

    def draw(
        self, streams: Streams, member: int, epoch: int, visited: Int64[np.ndarray, " samples"]
    ) -> Int16[np.ndarray, "samples 3"]:
        """`shifts` of a member's epoch, in the order in which it visits rows of the split."""
        uniform = streams.generator("augmentation", member, epoch).random((len(visited), 3))
        shifts = self.shifts(uniform)
        if self.flip == "alternating":
            first = streams.generator("augmentation.flip", member, during=epoch)
            coins = first.random(visited.max() + 1)
            shifts[:, 2] = (coins[visited] < 0.5) ^ (epoch % 2 == 1)
        return shifts

    def shifts(self, uniform: Float[np.ndarray, "samples 3"]) -> Int16[np.ndarray, "samples 3"]:
        """Top and left of each crop, and 1 for a flip, from uniform numbers in [0, 1)."""
        shifts = np.empty(uniform.shape, dtype=np.int16)
        shifts[:, :2] = uniform[:, :2] * (2 * self.padding + 1)  # rounds down
        shifts[:, 2] = uniform[:, 2] < 0.5
        return shifts

    def __call__(
        self,
        images: UInt8[Tensor, "samples channels padded_height padded_width"]
        | Int64[Tensor, "samples words"],
        index: Int64[Tensor, " batch"],
        shifts: Int16[Tensor, "batch shifts"],
    ) -> UInt8[Tensor, "batch channels height width"] | Int64[Tensor, "batch words"]:
        """The augmented images of these rows; token ids go through (0, False) only.

        Args:
            images: of the whole split, padded.
            index: rows of the split.
            shifts: of each row.
        """
        if not self.num_shifts:
            return images[index]
        top, left, flipped = shifts.long().unbind(dim=1)
        height, width = (size - 2 * self.padding for size in images.shape[-2:])
        crops = images.unfold(2, height, 1).unfold(3, width, 1)[index, :, top, left]
        if not self.flip:
            return crops
        return torch.where(flipped.bool()[:, None, None, None], crops.flip(-1), crops)
