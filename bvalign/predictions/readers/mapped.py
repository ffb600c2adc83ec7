"""Arrays that stay in their files: mapped for each read, and let go after it.

A mapping that lives on counts every page it has touched as memory of the process; one per read
keeps that to a block, and tells of a file that vanished or was cut instead of dying of SIGBUS.
"""

import io
import math
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

Rows = slice | np.ndarray
"""Which samples: start to stop, or their positions in any order."""


class MappedArray(NamedTuple):
    """An array of numbers somewhere in a file."""

    path: Path  # named in messages
    file: Path | BinaryIO  # where the bytes are
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool = False

    @property
    def dtype_name(self) -> str:
        return self.dtype.newbyteorder("=").name

    @property
    def num_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)

    def take(self, rows: Rows, axis: int) -> Tensor:
        """A copy of some rows along an axis; float128 becomes float64, as torch has none."""
        block = self._map()[(slice(None),) * axis + (rows,)]
        wide = self.dtype.kind == "f" and self.dtype.itemsize > 8
        dtype = np.dtype(np.float64) if wide else self.dtype.newbyteorder("=")
        return torch.from_numpy(np.array(block, dtype=dtype, order="C"))

    def load(self) -> np.ndarray:
        """All of it."""
        return np.array(self._map()) if 0 not in self.shape else np.empty(self.shape, self.dtype)

    def _map(self) -> np.ndarray:
        order = "F" if self.fortran else "C"
        try:
            return np.memmap(self.file, self.dtype, "r", self.offset, self.shape, order)
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.path}: vanished or was cut short ({error})") from error


def npy_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, Fortran order and dtype of a `.npy`; leaves the stream at the first number.

    Raises:
        ValueError: it is not the header of an array of numbers.
    """
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"version {version} of .npy is for named fields")
    if header[2].hasobject:
        raise ValueError("it holds pickled objects")
    return header


def open_npy(path: Path) -> MappedArray:
    """The array of a `.npy`.

    Raises:
        ValueError: it is damaged, or holds no numbers.
    """
    try:
        with path.open("rb") as stream:
            shape, fortran, dtype = npy_header(stream)
            array = MappedArray(path, path, stream.tell(), dtype, shape, fortran)
        size, needed = path.stat().st_size, array.offset + array.num_bytes
        if size != needed:
            raise ValueError(f"{size} bytes, not {needed}")
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: not a whole .npy of numbers ({error})") from error
    return array


class Scratch(io.FileIO):
    """A file in TMPDIR without a name: it is gone with the process, however that ends."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile(prefix="bvalign-") as file:
            super().__init__(os.dup(file.fileno()), "r+b")

    def __del__(self) -> None:
        self.close()  # it lives as long as the predictions that read it, which nobody closes


def write_scratch(file: Scratch, content: bytes | memoryview, path: Path) -> None:
    """Appends to a scratch file.

    Raises:
        ValueError: there is no room, which is no fault of `path`, whose content it is.
    """
    try:
        left = memoryview(content).cast("B")
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise ValueError(
            f"{path}: no room to unpack it in {tempfile.gettempdir()} ({error.strerror}); set "
            "TMPDIR to a folder with more"
        ) from error
