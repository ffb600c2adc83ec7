"""Settings and calls of malloc, and arrays that lie on disk."""

import ctypes
import math
import mmap
import os
import platform
import sys
import tempfile
import weakref
from collections.abc import Sequence

import torch
from torch import Tensor

LARGE = 2**24
"""Bytes above which an array of zeros lies on disk: a column of two million samples."""

_MAPPED: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()


def keep_freed_memory() -> None:
    """Lets malloc keep the memory that one training step frees for the next.

    By default glibc returns it to the system, which hands it out again page by page: 0.05 to 0.17 s
    of a step of 0.5 s on a CPU (four ResNet-8). Blocks above 32 MiB, the most that glibc allows
    here, are still returned; with another C library nothing changes.
    """
    if platform.libc_ver()[0] == "glibc":
        libc, (trim_threshold, mmap_threshold) = ctypes.CDLL(None), (-1, -3)  # as in malloc.h
        libc.mallopt(trim_threshold, -1)  # never
        libc.mallopt(mmap_threshold, 32 * 2**20)


def return_freed_memory() -> None:
    """Gives the system the memory that this process has freed, in the heaps of all its threads.

    After a pass of several threads that is tens of MiB, which the next step could not use. What
    `zeros_on_disk` has made stays in its files alone.
    """
    for mapped in _MAPPED:
        mapped.madvise(mmap.MADV_DONTNEED)
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def zeros_on_disk(like: Tensor, size: Sequence[int]) -> Tensor:
    """Zeros of the type of a tensor, in an unnamed file of TMPDIR if they are many.

    The system keeps in memory what is in use of it. The file is gone with the tensor or the
    process. Where there is no room for it the zeros are in memory, and a line says so.
    """
    number = like.element_size() * math.prod(size)
    if number < LARGE or not hasattr(os, "posix_fallocate"):
        return like.new_zeros(size)
    try:
        with tempfile.TemporaryFile(prefix="bvalign-") as file:
            os.posix_fallocate(file.fileno(), 0, number)  # a hole could not be filled later
            mapped = mmap.mmap(file.fileno(), number)
    except OSError as error:
        print(f"{tempfile.gettempdir()}: no room for a column of {number / 2**20:.0f} MiB "
              f"({error.strerror}), which stays in memory; TMPDIR names another folder",
              file=sys.stderr)  # fmt: skip
        return like.new_zeros(size)
    _MAPPED.add(mapped)
    return torch.frombuffer(mapped, dtype=like.dtype).view(*size)
