"""The work of an image folder's processes: decoding, cropping and flipping images for members.

Every item is named by its row and its random numbers, and both come from the streams of the member
that asks for it. Workers draw nothing themselves, so their number affects speed only.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from bvalign.data.loader import MemberSchedule, TrainBatch

AREA, LOG_RATIO = (0.08, 1.0), math.log(4 / 3)
"""Random crops cover 8% to 100% of the area, aspect ratio 3/4 to 4/3 (Szegedy et al. 2015)."""


class Item(NamedTuple):
    """One image for a worker to prepare."""

    row: int
    draws: Float[np.ndarray, "5"]  # uniform in [0, 1): area, ratio, top, left, flip


class MemberSampler(MemberSchedule, Sampler[list[Item]]):
    """The items of each training batch, one member after another.

    Lightning calls `loader.batch_sampler.sampler.set_epoch`.
    """

    def __iter__(self) -> Iterator[list[Item]]:
        order, done = self.order(), 0
        generators = [self.streams.generator("augmentation", m, self.epoch) for m in self.members]
        for here in self.steps():
            # numbers for other ranks and for skipped batches are drawn and discarded
            draws = [g.random((here.stop - done, 5))[here.start - done :] for g in generators]
            done = here.stop
            yield [
                Item(int(row), draw)
                for of_member in zip(order[:, here], draws, strict=True)
                for row, draw in zip(*of_member, strict=True)
            ]

    def collate(self, items: list[tuple[UInt8[Tensor, "3 size size"], int, int]]) -> TrainBatch:
        """Stacks uint8 images, labels and rows, with a leading member axis."""
        images, target, index = zip(*items, strict=True)
        shape = (len(self.members), -1)
        return (
            torch.stack(images).unflatten(0, shape),
            torch.tensor(target).view(shape),
            torch.tensor(index).view(shape),
        )


class Centres(Dataset):
    """Centre crops of images whose shorter side is first resized to 8/7 of `size`."""

    def __init__(
        self, files: Shaped[np.ndarray, " files"], target: Int64[np.ndarray, " files"], size: int
    ) -> None:
        self.files, self.target, self.size = files, target, size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, item: int | Item) -> tuple[UInt8[Tensor, "3 size size"], int, int]:
        row = item.row if isinstance(item, Item) else item
        return self.cut(decode(self.files[row])[0], item), int(self.target[row]), row

    def cut(
        self, image: UInt8[Tensor, "3 height width"], item: int | Item
    ) -> UInt8[Tensor, "3 {self.size} {self.size}"]:
        from torchvision.transforms.v2 import functional

        image = functional.resize(image, [round(self.size * 8 / 7)], antialias=True)
        return functional.center_crop(image, [self.size])


class Thumbnails(Centres):
    """Small centre crops, and whether each image has more than 8 bits."""

    def __getitem__(self, row: int) -> tuple[UInt8[Tensor, "3 size size"], bool]:
        image, deep = decode(self.files[row])
        return self.cut(image, row), deep


class Crops(Centres):
    """Random parts of images, resized to `size` and flipped with probability one half."""

    def cut(
        self, image: UInt8[Tensor, "3 height width"], item: Item
    ) -> UInt8[Tensor, "3 {self.size} {self.size}"]:
        from torchvision.transforms.v2 import functional

        height, width = image.shape[-2:]
        area, ratio, top, left, flip = item.draws
        area = height * width * (AREA[0] + area * (AREA[1] - AREA[0]))
        ratio = math.exp(LOG_RATIO * (2 * ratio - 1))
        h = min(height, max(1, round(math.sqrt(area / ratio))))
        w = min(width, max(1, round(math.sqrt(area * ratio))))
        box = (int(top * (height - h + 1)), int(left * (width - w + 1)), h, w)
        image = functional.resized_crop(image, *box, [self.size, self.size], antialias=True)
        return image.flip(-1) if flip < 0.5 else image


def decode(file: str) -> tuple[UInt8[Tensor, "3 height width"], bool]:
    """Reads an image in 8 bits, and tells whether it has 16, which are scaled: 65,535 is 255.

    Raises:
        ValueError: it cannot be read, or its pixels have 32 bits or are floating-point numbers.
    """
    from PIL import Image

    try:
        with Image.open(str(file)) as image:
            mode = image.mode
            # Pillow opens some files of 16 bits as mode I, which has 32
            deep = mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM"))
            pixels = np.array(image if deep else image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # Pillow raises either on what it cannot read
        raise ValueError(
            f"{file} is not a readable image: {error}; replace or remove it"
        ) from error
    if mode in ("I", "F") and not deep:
        raise ValueError(
            f"{file} has pixels of 32 bits (mode {mode}), whose range nothing says; convert the "
            "images to 8 or 16 bits"
        )
    if deep:
        pixels = np.stack([np.round(pixels / 257).astype(np.uint8)] * 3, axis=-1)
    return torch.from_numpy(pixels).permute(2, 0, 1), deep
