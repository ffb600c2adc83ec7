"""Arrays of numbers or strings: in memory here, in their files elsewhere, read alike."""

from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor

from bvalign.predictions.damage import check_inflation
from bvalign.predictions.scores.mapped import Rows


@runtime_checkable
class Array(Protocol):
    """Numbers or strings that may still lie in their file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype_name(self) -> str: ...

    def take(self, rows: Rows, axis: int) -> Num[Tensor, "..."]: ...

    def load(self) -> np.ndarray: ...


class HeldTensor(NamedTuple):
    """An array in memory, or mapped by torch."""

    values: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    @property
    def dtype_name(self) -> str:
        return str(self.values.dtype).removeprefix("torch.")

    def take(self, rows: Rows, axis: int) -> Num[Tensor, "..."]:
        rows = rows if isinstance(rows, slice) else torch.from_numpy(rows)
        return self.values.detach()[(slice(None),) * axis + (rows,)].cpu().clone()

    def load(self) -> np.ndarray:
        values = self.values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


class HeldArray(NamedTuple):
    """Numbers or strings in memory."""

    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def dtype_name(self) -> str:
        return "str" if self.values.dtype.kind == "U" else self.values.dtype.newbyteorder("=").name

    def take(self, rows: Rows, axis: int) -> Num[Tensor, "..."]:
        block = self.values[(slice(None),) * axis + (rows,)]
        dtype = self.values.dtype.newbyteorder("=")
        return torch.from_numpy(np.array(block, dtype=dtype, order="C"))

    def load(self) -> np.ndarray:
        return self.values


def held(values: object) -> Array:
    """Wraps a tensor, an array or nested lists.

    Raises:
        ValueError: they are no numbers or strings in a regular array.
    """
    if isinstance(values, Tensor):
        _check_stored(values)
        return HeldTensor(values)
    if np.ma.is_masked(values):
        raise ValueError("has masked entries; fill them, labels by -1, or leave their samples out")
    try:
        array = np.asarray(values)
    except ValueError as error:  # of many lines, and of NumPy's insides
        raise ValueError(
            "is no array of numbers: its parts have different lengths; is it complete?"
        ) from error
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.ravel()):
        array = array.astype(str)
    if array.dtype.kind not in "biufU":
        raise ValueError(
            f"needs numbers or strings, got {array.dtype}; convert it, as with .astype(float)"
        )
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return HeldArray(array)


def _check_stored(values: Tensor) -> None:
    """Refuses a tensor whose numbers are nowhere, or a few that are said to be many."""
    if values.layout != torch.strided or values.is_meta or values.is_quantized:
        raise ValueError("holds no plain numbers (sparse, quantized or meta); save .to_dense()")
    try:
        stored = values.untyped_storage().nbytes()
        check_inflation(Path("tensor"), values.numel() * values.element_size(), stored)
    except ValueError as error:
        raise ValueError("repeats few numbers many times; save .contiguous()") from error
