"""Predictions from a `.npz`, read in blocks of samples.

Uncompressed arrays are mapped in place. A compressed one is unpacked once into an anonymous file in
TMPDIR and mapped there: a block of samples needs a slice of every member, but a deflate stream can
only be read from its start. One stream per member would decompress everything before its slice,
M / 2 times the array in total, and could not follow an unsorted index.
"""

import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Num
from torch import Tensor

from bvalign.predictions.damage import check_inflation, damaged
from bvalign.predictions.scores.arrays import scores_of_arrays
from bvalign.predictions.scores.mapped import (
    MappedArray,
    Rows,
    Scratch,
    check_room,
    npy_header,
    write_scratch,
)
from bvalign.predictions.scores.names import Names
from bvalign.predictions.scores.scores import Scores

CHUNK_BYTES = 2**20
DAMAGES = (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged archive raises."""


def open_npz(path: Path, names: Names) -> Scores:
    """Opens the scores of a `.npz`.

    Args:
        path: contains scores as `arrays` describes them, optionally `labels` (samples), `index`
            (samples), `members` (members), `weights` (members), `clusters` (samples) and
            `num_options` (samples), how many classes a sample has. `labels` and `index` may be
            (members, samples); then they are compared between members. For the report: `images`
            uint8 (samples, channels, height, width), `texts` (samples), `class_names` (classes).
        names: given by the user.

    Raises:
        ValueError: an array is missing, or the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {
                info.filename.removesuffix(".npy"): _NpzArray.of(path, archive, info)
                for info in archive.infolist()
            }
    except DAMAGES as error:
        raise damaged(path, ".npz of plain arrays", error) from error
    return scores_of_arrays(path, arrays, names)


@dataclass(frozen=True)
class _NpzArray:
    """An array of a `.npz`, of which only the header is read until it is used."""

    path: Path
    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype_name: str

    @classmethod
    def of(cls, path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> "_NpzArray":
        with archive.open(info) as stream:
            shape, _, dtype = npy_header(stream)
        return cls(path, info, shape, dtype.newbyteorder("=").name)

    def take(self, rows: Rows, axis: int) -> Num[Tensor, "..."]:
        return self._array.take(rows, axis)

    def load(self) -> np.ndarray:
        return self._array.load()

    @cached_property
    def _array(self) -> MappedArray:
        name = self.info.filename.removesuffix(".npy")
        if self.dtype_name == "object":
            raise ValueError(
                f"{self.path}: '{name}' is an object array; save {name}.astype(str), or numbers"
            )
        check_inflation(self.path, self.info.file_size, self.info.compress_size)
        try:
            with zipfile.ZipFile(self.path) as archive:
                return _open_array(self.path, archive, self.info)
        except DAMAGES as error:
            if str(error).startswith(str(self.path)):
                raise
            raise damaged(self.path, f".npz of plain arrays, '{name}'", error) from error


def _open_array(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> MappedArray:
    """Reads the array once, which checks its CRC, and unpacks it if it is compressed."""
    stored = info.compress_type == zipfile.ZIP_STORED
    with archive.open(info) as stream:
        shape, fortran, dtype = npy_header(stream)
        start = count = stream.tell()
        array = MappedArray(path, path if stored else Scratch(), 0, dtype, shape, fortran)
        if info.file_size != start + array.num_bytes:
            raise ValueError(f"{info.file_size - start} bytes, not {array.num_bytes}")
        if not stored:
            check_room(array.num_bytes, path)
        while chunk := stream.read(CHUNK_BYTES):
            count += len(chunk)
            if not stored:
                write_scratch(array.file, chunk, path)
    if count - start != array.num_bytes:
        raise ValueError(f"{info.filename} has {count - start} bytes, not {array.num_bytes}")
    return array._replace(offset=data_offset(path, info) + start) if stored else array


def data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Finds where an entry's bytes begin, by the lengths in its local header."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name_length, extra_length = struct.unpack("<26xHH", file.read(30))
    return info.header_offset + 30 + name_length + extra_length
