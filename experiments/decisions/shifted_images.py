"""Small ensembles on MNIST and Fashion-MNIST, and test images corrupted or chosen by class.

Ten networks of two hidden layers, trained at the same time by PyTorch on one core: a few seconds
for each ensemble. The test images are halved: the first half is the source, the second is shifted.
"""

import gzip
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from bvalign.analysis.given import Kept

MEMBERS, HIDDEN, BATCH, RATE = 10, 128, 128, 1e-3
ENSEMBLES = {"fashion": ("FashionMNIST", 20_000, 8), "mnist-few": ("MNIST", 5000, 4),
             "fashion-few": ("FashionMNIST", 3000, 12)}  # fmt: skip
"""Name -> data set, training images, epochs."""


class Shifted(NamedTuple):
    """One ensemble on its source and on shifted sets."""

    name: str
    source: Kept
    targets: dict[str, Kept]


def shifted_ensembles(data: Path, *, quick: bool) -> Iterator[Shifted]:
    """Trains each ensemble and predicts.

    Args:
        data: folder of the data sets.
        quick: one ensemble alone, for an epoch.
    """
    for name, (root, number, epochs) in list(ENSEMBLES.items())[: 1 if quick else None]:
        images, labels = _read(data / root / "raw", "train")
        predict = _train(images[:number], labels[:number], 1 if quick else epochs)
        images, labels = _read(data / root / "raw", "t10k")
        half = len(images) // 2

        def kept(images: np.ndarray, labels: np.ndarray, predict: Callable = predict) -> Kept:
            logits = predict(torch.from_numpy(np.ascontiguousarray(images, np.float32)).flatten(1))
            return Kept(torch.arange(len(labels)), logits, torch.from_numpy(labels))

        targets = {
            shift: kept(*shifted) for shift, shifted in _shifts(images[half:], labels[half:])
        }
        yield Shifted(name, kept(images[:half], labels[:half]), targets)


def _shifts(
    images: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Corruptions, choices by class, and both."""
    rng = np.random.default_rng(0)
    changed = {"none": images}
    for angle in (10, 20, 30, 45):
        changed[f"rotated {angle}"] = ndimage.rotate(images, angle, (1, 2), False, order=1)
    for scale in (0.1, 0.2, 0.4):
        noise = scale * rng.standard_normal(images.shape)
        changed[f"noise {scale}"] = np.clip(images + noise, 0, 1)
    for width in (1, 2):
        changed[f"blurred {width}"] = ndimage.gaussian_filter(images, (0, width, width))
    for pixels in (2, 4):
        changed[f"moved {pixels}"] = ndimage.shift(images, (0, pixels // 3, pixels), order=0)
    for factor in (0.5, 0.25):
        changed[f"contrast {factor}"] = images * factor
    changed["brighter"] = np.clip(images + 0.2, 0, 1)
    changed["inverted"] = 1 - images
    changed["hidden square"] = images.copy()
    changed["hidden square"][:, 8:16, 8:16] = 0
    changed["white stripe"] = images.copy()
    changed["white stripe"][:, 13:15] = 1
    for name, shown in changed.items():
        yield name, (shown, labels)
    shares = rng.dirichlet(np.ones(10))
    strong = rng.random(len(labels)) < shares[labels] / shares.max()
    mild = rng.random(len(labels)) < np.linspace(0.1, 1, 10)[labels]
    yield "class shares", (images[strong], labels[strong])
    yield "class shares, mild", (images[mild], labels[mild])
    yield "half of the classes", (images[labels < 5], labels[labels < 5])
    yield "rotated 20, class shares", (changed["rotated 20"][mild], labels[mild])


def _read(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images from 0 to 1 and labels, from the idx files."""
    found = []
    for kind in ("images", "labels"):
        (path,) = folder.glob(f"{part}-{kind}-*.gz")
        content = gzip.decompress(path.read_bytes())
        shape = struct.unpack(f">{content[3]}I", content[4 : 4 + 4 * content[3]])
        found.append(np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape))
    return found[0] / np.float32(255), found[1].astype(np.int64)


def _train(images: np.ndarray, labels: np.ndarray, epochs: int) -> Callable:
    """Trains all members together; returns what maps flat images to their logits."""
    x, y = torch.from_numpy(images).flatten(1), torch.from_numpy(labels)
    generator = torch.Generator().manual_seed(0)
    sizes = [x.shape[1], HIDDEN, HIDDEN, 10]
    weights, biases = [], []
    for number, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        scale = (2 / fan_in) ** 0.5 * (0.5 if number == 2 else 1)
        weights.append(torch.randn(MEMBERS, fan_in, fan_out, generator=generator) * scale)
        biases.append(torch.zeros(MEMBERS, 1, fan_out))
    parameters = [p.requires_grad_() for p in (*weights, *biases)]
    optimizer = torch.optim.Adam(parameters, RATE)

    def logits(z: torch.Tensor) -> torch.Tensor:
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            z = z @ weight + bias
            z = z if number == 2 else z.relu()
        return z

    for _ in range(epochs):
        order = torch.stack([torch.randperm(len(x), generator=generator) for _ in range(MEMBERS)])
        for rows in order[:, : len(x) // BATCH * BATCH].split(BATCH, dim=1):
            found = logits(x[rows]).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(found, y[rows].flatten(), reduction="sum")
            optimizer.zero_grad()
            (loss / BATCH).backward()
            optimizer.step()

    @torch.no_grad()
    def predict(flat: torch.Tensor) -> torch.Tensor:
        parts = [logits(part.expand(MEMBERS, -1, -1)) for part in flat.split(1000)]
        return torch.cat(parts, dim=1)

    return predict
