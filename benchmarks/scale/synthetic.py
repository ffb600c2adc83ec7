"""Predictions and passes that need no disk: real values of some samples, again and again."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from bvalign.analysis.collect import _annotated, _place
from bvalign.analysis.labelled import LabelledPass
from bvalign.analysis.passes import Pass
from bvalign.analysis.pieces import Pieces
from bvalign.commands.passes import of_predictions
from bvalign.predictions import Predictions

BLOCK = 500_000
"""Samples of which all members are drawn together."""


def synthetic(members: int, samples: int, classes: int) -> Predictions:
    """Gaussian noise of each member around a mean of the sample; margins of 1 to 10, float32."""
    rng = np.random.default_rng(0)
    target = rng.integers(classes, size=samples)
    logits = rng.standard_normal((1, samples, classes), dtype=np.float32)
    logits = logits + 0.7 * rng.standard_normal((members, samples, classes), dtype=np.float32)
    logits[:, np.arange(samples), target] += rng.uniform(1, 10, samples).astype(np.float32)
    whole = torch.from_numpy(logits)
    return Predictions(
        lambda start, stop: whole[:, start:stop],
        target,
        np.arange(samples),
        tuple(range(members)),
        classes,
    )


def write_members(folder: Path, members: int, samples: int, classes: int) -> None:
    """Writes such logits as a file of each member, block by block, and labels.npy."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    target = rng.integers(classes, size=samples)
    np.save(folder / "labels.npy", target)
    margin = rng.gamma(2.0, 1.5, samples).astype(np.float32)
    create = partial(np.lib.format.open_memmap, mode="w+", dtype=np.float32)
    files = [create(folder / f"seed{m}.npy", shape=(samples, classes)) for m in range(members)]
    for start in range(0, samples, BLOCK):
        rows = slice(start, start + BLOCK)
        shape = (len(target[rows]), classes)
        mean = rng.standard_normal(shape, dtype=np.float32)
        mean[np.arange(len(mean)), target[rows]] += margin[rows]
        for file in files:
            file[rows] = mean + 0.7 * rng.standard_normal(shape, dtype=np.float32)


class Repeated(LabelledPass):
    """A pass over very many samples, whose values are those of a finished small pass in turn.

    What joins, fits and decides then has as much to do as with samples of their own. Labels are
    drawn anew, so that as many classes occur; they do not fit what is said to be correct.

    Args:
        small: of labelled predictions, one piece.
        samples: N.
        pieces: where pieces are kept.
    """

    def __init__(self, small: Pass, samples: int, pieces: Pieces) -> None:
        members, few, classes = small.cut.shape
        index = np.arange(samples)
        target = np.random.default_rng(1).integers(classes, size=samples)
        self.predictions = Predictions(_unread, target, index, tuple(range(members)), classes)
        whole = of_predictions(self.predictions, pieces)
        super().__init__(whole.cut, whole.given, pieces)
        self._values, self._few = small.piece(0), few
        self._sizes = {axis: len(rows) for axis, rows in small.places.items()}
        drawn = torch.arange(len(self.places["drawn"])) % self._sizes["drawn"]
        self._drawn = _taken(small._drawn, {"drawn": drawn}, 1.0)

    def _of_ranges(self, ranges: range) -> tuple:
        size, (_, samples, _) = self.cut.range_size, self.cut.shape
        first, last = ranges.start * size, min(ranges.stop * size, samples)
        rows = {}
        for axis, positions in self.places.items():
            ends = torch.searchsorted(positions, torch.tensor([first, last])).tolist()
            rows[axis] = torch.arange(*ends) % self._sizes[axis]
        values = _taken(self._values, rows, (last - first) / self._few)
        return values._replace(target=torch.from_numpy(self.predictions.target[first:last]))


def _taken(values: tuple, rows: dict[str, Int[Tensor, " some"]], scale: float) -> tuple:
    """Takes some rows along each axis; sums over samples are scaled."""
    taken = []
    for value, annotation in _annotated(values):
        if isinstance(value, Tensor):
            name, axis = _place(annotation, rows)
            whole = (value * scale).to(value.dtype) if name is None else None
            taken.append(whole if name is None else value.index_select(axis, rows[name]))
        else:
            taken.append(None if value is None else _taken(value, rows, scale))
    return type(values)(*taken)


def _unread(start: int, stop: int) -> Tensor:
    raise AssertionError(f"logits {start} to {stop} are not there")
