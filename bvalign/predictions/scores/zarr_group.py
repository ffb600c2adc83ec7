"""Predictions from a Zarr group, in a folder or an object store, read in blocks of samples.

A chunk is decoded once for all blocks that follow each other: the run of chunks along the samples
that a block touches is kept for the next one, in memory or, if it is large, in an anonymous file in
TMPDIR. An index in another order cannot be followed so; then all is unpacked there, once.
"""

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Num, Shaped
from torch import Tensor

from bvalign.predictions.damage import check_file
from bvalign.predictions.scores.arrays import scores_of_arrays
from bvalign.predictions.scores.held import Array, HeldArray, held
from bvalign.predictions.scores.mapped import MappedArray, Rows, Scratch, write_scratch
from bvalign.predictions.scores.names import Names
from bvalign.predictions.scores.scores import Scores

IN_MEMORY = 2**26
"""Bytes of a run of chunks of one array that is kept in memory."""

TURNS = 4
"""Passes over the samples may begin anywhere; blocks that go back more often are in no order."""


def open_zarr(path: Path, names: Names, url: str | None = None) -> Scores:
    """Opens the scores of a group; its arrays are named as those of a `.npz`.

    Args:
        path: a folder; of a URL its last part, as whose name it is in messages of later checks.
        names: given by the user.
        url: of a group in an object store, as zarr takes it.

    Raises:
        ValueError: zarr is not installed, there is no such group, or an array is missing or
            damaged.
    """
    where = url or str(path)
    try:
        import zarr
    except ImportError as error:
        raise ValueError(
            f"{where}: Zarr is read by its own library; pip install 'bvalign[zarr]' ({error})"
        ) from error
    if url is None and path.is_dir():
        _refuse_devices(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of number types and files that zarr does not know
            group = zarr.open_group(where, mode="r")
            arrays = {name: ZarrArray(where, name, array) for name, array in group.arrays()}
            unstored = [note for name in sorted(arrays) for note in arrays[name].unstored()]
    except zarr.errors.ContainsArrayError as error:
        raise ValueError(
            f"{where}: is an array, not a group; save it as 'logits' of a group, beside 'labels'"
        ) from error
    except Exception as error:  # stores raise errors of their own, and damaged metadata any other
        raise ValueError(
            f"{where}: not a Zarr group that can be read ({error}); is the path right, and all of "
            "it copied?"
        ) from error
    scores = scores_of_arrays(path, {name: arrays[name] for name in sorted(arrays)}, names)
    return replace(scores, notes=(*scores.notes, *unstored))


def _refuse_devices(folder: Path) -> None:
    """Refuses what the library would wait for or read without end.

    Raises:
        ValueError: a pipe, a device or a link to nothing is among the files.
    """
    for entry in os.scandir(folder):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            _refuse_devices(path)
        elif not (entry.is_file(follow_symlinks=False) or path.is_dir()):
            check_file(path)


class ZarrArray:
    """An array of a group, of which runs of chunks are decoded."""

    def __init__(self, where: str, name: str, array: Any) -> None:
        self._where, self._name, self._array = where, name, array
        self._kept: dict[tuple[int, int], Array] = {}  # by length and number of the run
        self._last, self._turns = 0, 0

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._array.shape)

    @property
    def dtype_name(self) -> str:
        dtype = self._array.dtype
        return "str" if dtype.kind in "UTO" else dtype.newbyteorder("=").name

    def take(self, rows: Rows, axis: int) -> Num[Tensor, "..."]:
        size, successive = self.shape[axis], isinstance(rows, slice)
        rows = np.arange(*rows.indices(size)) if successive else rows
        chunk = self._array.chunks[axis]  # a run of several where they are smaller than a block
        length = -(-max(len(rows), 1) // chunk) * chunk if self._in_order(rows) else size
        numbers = rows // length
        runs = [(length, number) for number in np.unique(numbers).tolist()]
        self._kept = {run: self._kept[run] for run in runs if run in self._kept}
        parts = []
        for run in runs:
            first = length * run[1]
            if run not in self._kept:
                self._kept[run] = self._run(slice(first, min(first + length, size)), axis)
            here = rows[numbers == run[1]] - first
            here = slice(int(here[0]), int(here[-1]) + 1) if successive else here
            parts.append(self._kept[run].take(here, axis))
        return torch.cat(parts, dim=axis)

    def load(self) -> np.ndarray:
        values = self._decode(tuple(slice(0, size) for size in self.shape))
        try:
            return held(values.astype(object) if values.dtype.kind == "T" else values).load()
        except ValueError as error:
            raise ValueError(f"{self._where}: '{self._name}' {error}") from error

    def unstored(self) -> Iterator[str]:
        """Notes chunks of whole numbers that are not stored, as zarr does with zeros."""
        if self._array.dtype.kind in "iu":
            stored, total = self._array.nchunks_initialized, self._array.nchunks
            if stored < total:
                yield (
                    f"{self._name}: {total - stored} of {total} chunks are not stored, which "
                    f"stands for {self._array.fill_value} everywhere"
                )

    def _in_order(self, rows: Int[np.ndarray, " rows"]) -> bool:
        """Tells whether blocks ascend; once they do not, they are not expected to."""
        first = int(rows[0]) if len(rows) else self._last
        self._turns += 0 < first < self._last
        self._last = first
        if (np.diff(rows) < 0).any():
            self._turns = TURNS + 1
        return self._turns <= TURNS

    def _run(self, samples: slice, axis: int) -> Array:
        """Decodes all chunks of some samples, one by one if they are too large for memory."""
        shape = (*self.shape[:axis], samples.stop - samples.start, *self.shape[axis + 1 :])
        dtype = self._array.dtype
        if math.prod(shape) * dtype.itemsize <= IN_MEMORY:
            return HeldArray(self._decode(self._index(slice(0, shape[0]), samples, axis)))
        path, file = Path(self._where), Scratch()
        row = math.prod(self.shape[axis + 1 :]) * dtype.itemsize
        members, step = (shape[0] if axis else 1), self._array.chunks[axis]
        together = self._array.chunks[0] if axis else 1
        for member in range(0, members, together):
            of = slice(member, min(member + together, members))
            for start in range(samples.start, samples.stop, step):
                part = slice(start, min(start + step, samples.stop))
                block = self._decode(self._index(of, part, axis))
                for place, values in enumerate(block if axis else [block], member):
                    file.seek((place * shape[axis] + start - samples.start) * row)
                    write_scratch(file, memoryview(np.ascontiguousarray(values)), path)
        return MappedArray(path, file, 0, dtype, shape)

    def _index(self, members: slice, samples: slice, axis: int) -> tuple[slice, ...]:
        return (*(members,) * axis, samples, *(slice(0, n) for n in self.shape[axis + 1 :]))

    def _decode(self, index: tuple[slice, ...]) -> Shaped[np.ndarray, "..."]:
        """Decodes chunks.

        Args:
            index: begins and ends at borders of chunks.

        Raises:
            ValueError: a chunk is damaged, or is missing where that means scores of zero.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = np.asarray(self._array[index])
        except Exception as error:  # codecs and stores raise errors of their own
            raise ValueError(
                f"{self._where}: '{self._name}' cannot be read at {_said(index)} "
                f"({error}); write it again"
            ) from error
        chunks, fill = self._array.chunks, self._array.fill_value
        if values.dtype.kind != "f" or values.ndim < 2:
            return values
        corners = values[tuple(slice(None, None, step) for step in chunks)]
        for corner in np.argwhere(corners == fill).tolist():
            at = [c * n for c, n in zip(corner, chunks, strict=True)]
            chunk = values[tuple(slice(c, c + n) for c, n in zip(at, chunks, strict=True))]
            if (chunk == fill).all():
                first = [part.start + c for part, c in zip(index, at, strict=True)]
                here = [slice(c, c + n) for c, n in zip(first, chunk.shape, strict=True)]
                raise ValueError(
                    f"{self._where}: '{self._name}' is {fill} everywhere at {_said(here)}, as it "
                    "is where a chunk is missing; write it again"
                )
        return values


def _said(index: Sequence[slice]) -> str:
    return f"[{', '.join(f'{part.start}:{part.stop}' for part in index)}]"
