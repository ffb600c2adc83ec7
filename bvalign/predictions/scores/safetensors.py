"""Predictions from a `.safetensors`, read in blocks of samples."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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
    try:
        with safe_open(path, framework="pt") as file:
            arrays = {name: _FileTensor.of(path, name, file) for name in sorted(file.keys())}
    except (SafetensorError, OSError) as error:
        raise damaged(path, ".safetensors", error) from error
    return scores_of_arrays(path, arrays, names)


@dataclass(frozen=True)
class _FileTensor:
    """A tensor in a file, mapped anew for each read."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype_name: str

    @classmethod
    def of(cls, path: Path, name: str, file: safe_open) -> "_FileTensor":
        shape = tuple(file.get_slice(name).get_shape())
        row = file.get_slice(name)[:0] if shape else file.get_tensor(name)
        return cls(path, name, shape, HeldTensor(row).dtype_name)

    def take(self, rows: Rows, axis: int) -> Num[Tensor, "..."]:
        with self._open() as tensor:
            return tensor.take(rows, axis)

    def load(self) -> np.ndarray:
        with self._open() as tensor:
            return np.array(tensor.load())

    @contextmanager
    def _open(self) -> Iterator[HeldTensor]:
        try:
            with safe_open(self.path, framework="pt") as file:
                yield HeldTensor(file.get_tensor(self.name))
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{self.path}: vanished or was cut short ({error})") from error
