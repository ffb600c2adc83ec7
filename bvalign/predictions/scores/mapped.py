"""Arrays that stay in their files, memory-mapped anew for each read.

A mapping that lives on counts every page it has touched as memory of the process. One per read
keeps that to a block, and a file that was removed or truncated raises an error instead of SIGBUS.
"""

import errno
import io
import math
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Num
from torch import Tensor

from bvalign.predictions.damage import damaged

Rows = slice | Int[np.ndarray, " rows"]
"""Samples to read: start to stop, or their positions in any order."""


class MappedArray(NamedTuple):
    """An array of numbers inside a file."""

    path: Path  # named in messages
    file: Path | io.FileIO  # holds the bytes
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

    def take(self, rows: Rows, axis: int) -> Num[Tensor, "..."]:
        """Copies some rows along an axis; float128, which torch lacks, becomes float64."""
        block = self._map()[(slice(None),) * axis + (rows,)]
        wide = self.dtype.kind == "f" and self.dtype.itemsize > 8
        dtype = np.dtype(np.float64) if wide else self.dtype.newbyteorder("=")
        return torch.from_numpy(np.array(block, dtype=dtype, order="C"))

    def load(self) -> np.ndarray:
        """Reads the whole array."""
        return np.array(self._map()) if 0 not in self.shape else np.empty(self.shape, self.dtype)

    def _map(self) -> np.ndarray:
        order = "F" if self.fortran else "C"
        try:
            return np.memmap(self.file, self.dtype, "r", self.offset, self.shape, order)
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.path}: vanished or was cut short ({error})") from error


def npy_header(stream: io.BufferedIOBase) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Reads shape, Fortran order and dtype of a `.npy`, up to the first number.

    Raises:
        ValueError: this is not the header of an array.
    """
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"version {version} of .npy is for named fields")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 2, which wrote such headers
            shape, fortran, dtype = read[version](stream)
    except Exception as error:  # NumPy tries to mend a header, and may fail at that
        raise ValueError(f"its header cannot be read: {error}") from error
    if min(shape, default=0) < 0:
        raise ValueError(f"its header says the shape {shape}")
    return shape, fortran, dtype


def open_npy(path: Path) -> MappedArray:
    """Opens the array of a `.npy`.

    Raises:
        ValueError: the file is damaged, or contains no numbers.
    """
    try:
        with path.open("rb") as stream:
            shape, fortran, dtype = npy_header(stream)
            array = MappedArray(path, path, stream.tell(), dtype, shape, fortran)
        size, needed = path.stat().st_size, array.offset + array.num_bytes
        if size != needed and not dtype.hasobject:
            raise ValueError(f"{size} bytes, not {needed}")
    except (ValueError, OSError, EOFError) as error:
        raise damaged(path, ".npy of numbers", error) from error
    if dtype.hasobject:
        raise ValueError(
            f"{path}: holds Python objects, which are not loaded as they can run code; save "
            "strings with astype(str)"
        )
    return array


class Scratch(io.FileIO):
    """An anonymous file in TMPDIR: it is gone with the process, however that ends."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile(prefix="bvalign-") as file:
            super().__init__(os.dup(file.fileno()), "r+b")

    def __del__(self) -> None:
        self.close()  # lives as long as the predictions that read it, which nobody closes


def check_room(num_bytes: int, path: Path) -> None:
    """Refuses to begin what cannot end.

    Raises:
        ValueError: TMPDIR has less room; the message names `path`, which the content comes from.
    """
    if num_bytes > shutil.disk_usage(tempfile.gettempdir()).free:
        raise _no_room(path, os.strerror(errno.ENOSPC))


def _no_room(path: Path, reason: str | None) -> ValueError:
    return ValueError(
        f"{path}: no room to unpack it in {tempfile.gettempdir()} ({reason}); set TMPDIR to a "
        "folder with more space"
    )


def write_scratch(file: io.IOBase, content: bytes | memoryview, path: Path) -> None:
    """Appends to a scratch file.

    Raises:
        ValueError: the disk is full; the message names `path`, which the content comes from.
    """
    try:
        remaining = memoryview(content).cast("B")
        while remaining:
            remaining = remaining[file.write(remaining) :]
    except OSError as error:
        raise _no_room(path, error.strerror) from error
