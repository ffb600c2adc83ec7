"""Numbers that were written as text, or as floats beside empty cells."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped


def as_numbers(values: Sequence[object]) -> Shaped[np.ndarray, " values"] | None:
    """Reads whole numbers, also as 3.0, which is how pandas writes them beside empty cells.

    Args:
        values: numbers, booleans or strings.

    Returns:
        int64 if all are whole, float64 if all are numbers, or None.
    """
    if all(isinstance(value, bool) for value in values):
        return np.array(values, dtype=np.int64)
    try:
        whole = [int(value) for value in values]
        if all(isinstance(v, str) or v == w for v, w in zip(values, whole, strict=True)):
            return np.array(whole, dtype=np.int64)
    except (ValueError, TypeError, OverflowError):
        pass
    try:
        floats = np.array([float(value) for value in values])
    except (ValueError, TypeError):
        return None
    with np.errstate(invalid="ignore"):  # infinity is no whole number
        exact = (floats % 1 == 0) & (abs(floats) < 2**53)
    return floats.astype(np.int64) if exact.all() else floats


def whole_or_names(strings: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Gives strings as whole numbers if all but empty ones are such, which become -1."""
    found, place = np.unique(np.char.strip(strings), return_inverse=True)
    numbers = as_numbers([value for value in found.tolist() if value])
    if numbers is None or numbers.dtype.kind != "i" or not len(numbers):
        return strings
    if not found[0]:  # the empty string sorts first
        numbers = np.insert(numbers, 0, -1)
    return numbers[place].reshape(strings.shape)
