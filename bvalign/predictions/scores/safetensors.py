"""Predictions from a `.safetensors`, read in blocks of samples."""

import json
import math
import mmap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Num
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bvalign.predictions.damage import damaged
from bvalign.predictions.scores.arrays import scores_of_arrays
from bvalign.predictions.scores.held import HeldTensor
from bvalign.predictions.scores.mapped import Rows
from bvalign.predictions.scores.names import Names
from bvalign.predictions.scores.scores import Scores


def open_safetensors(path: Path, names: Names) -> Scores:
    """Opens the scores of a `.safetensors`; its tensors are named as the arrays of a `.npz`.

    Raises:
        ValueError: a tensor is missing, or the file is damaged.
    """
    return scores_of_arrays(path, file_tensors(path), names)


class FileTensor(NamedTuple):
    """A tensor in a file, mapped anew for each read."""

    path: Path
    offset: int  # of its first byte
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    def take(self, rows: Rows, axis: int) -> Num[Tensor, "..."]:
        return self._mapped().take(rows, axis)

    def load(self) -> np.ndarray:
        return np.array(self._mapped().load())

    def _mapped(self) -> HeldTensor:
        count = math.prod(self.shape)
        if not count:
            return HeldTensor(torch.empty(self.shape, dtype=self.dtype))
        inside = self.offset % mmap.ALLOCATIONGRANULARITY  # a mapping begins where a page does
        length = inside + count * self.dtype.itemsize
        try:
            with self.path.open("rb", buffering=0) as file:
                # private: torch warns of memory that it could not write to
                mapped = mmap.mmap(
                    file.fileno(), length, access=mmap.ACCESS_COPY, offset=self.offset - inside
                )
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.path}: vanished or was cut short ({error})") from error
        values = torch.frombuffer(mapped, dtype=self.dtype, count=count, offset=inside)
        return HeldTensor(values.view(self.shape))


def file_tensors(path: Path) -> dict[str, FileTensor]:
    """Opens all tensors of a `.safetensors`, by name.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:  # checks the header, and the size by it
            dtypes = {name: _dtype(file, name) for name in sorted(file.keys())}
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except (SafetensorError, OSError, RecursionError) as error:
        raise damaged(path, ".safetensors", error) from error
    starts = {name: 8 + length + header[name]["data_offsets"][0] for name in dtypes}
    return {
        name: FileTensor(path, starts[name], tuple(header[name]["shape"]), dtype)
        for name, dtype in dtypes.items()
    }


def _dtype(file: safe_open, name: str) -> torch.dtype:
    part = file.get_slice(name)
    return (part[:0] if part.get_shape() else file.get_tensor(name)).dtype
