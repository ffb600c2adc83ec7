"""Labels that are rows over the classes: one-hot, soft labels, or counts of answers.

0 and 1, one 1 in each row                  one-hot: the class of the one
at least 0, each row sums to one            soft labels
whole numbers of at least 0, some above 1   counts of answers: soft labels, divided by their sum
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from bvalign.predictions.checks.probabilities import TOLERANCE

DIVIDE = "save labels / labels.sum(-1, keepdims=True)"


class LabelRows(NamedTuple):
    """What rows of labels say."""

    ids: Int64[np.ndarray, " samples"]  # the most probable class, the lowest on ties
    notes: tuple[str, ...]
    soft: Float64[np.ndarray, "samples classes"] | None = None  # None for one-hot rows
    answers: Int64[np.ndarray, " samples"] | None = None  # None unless rows are counts


def read_rows(path: Path, labels: Shaped[np.ndarray, "samples classes"]) -> LabelRows:
    """Reads rows of numbers or booleans.

    Args:
        path: named in messages.
        labels: as the file has them.

    Raises:
        ValueError: they are neither of the three kinds; the message says what to do.
    """
    rows = labels.astype(np.float64)
    binary = bool(((rows == 0) | (rows == 1)).all())
    if binary and (rows.sum(axis=1) == 1).all():
        note = "labels are read as one-hot: the class of the one"
        return LabelRows(rows.argmax(axis=1), (note,))
    total = rows.sum(axis=1)
    counts = not binary and bool(((rows >= 0) & (rows % 1 == 0)).all())
    wrong = total < 1 if counts else ~(np.abs(total - 1) < TOLERANCE)
    wrong |= ~(rows >= 0).all(axis=1)  # NaN, too
    if wrong.any():
        raise ValueError(_what_is_wrong(path, rows, wrong, counts=counts))
    rows /= total[:, None]
    ids = rows.argmax(axis=1)
    largest = rows.max(axis=1, keepdims=True)
    ties = int(((rows == largest).sum(axis=1) > 1).sum())
    note = "labels are soft: correct means that the most probable class of the label is hit"
    if ties:
        note += f"; {ties} of {len(rows)} samples have several such classes: the lowest counts"
    if not counts:
        return LabelRows(ids, (note,), rows)
    return LabelRows(ids, (_counted(rows, total), note), rows, total.astype(np.int64))


def _counted(rows: Float64[np.ndarray, "samples classes"], total: np.ndarray) -> str:
    """What few answers do: 1 - ‖q‖² is on average too low by itself / (answers - 1)."""
    several = total > 1
    noise = 1 - np.square(rows[several]).sum(axis=1)
    off = float((noise / (total[several] - 1)).sum()) / len(rows)
    low, high = int(total.min()), int(total.max())
    number = f"{low}" if low == high else f"{low} to {high}"
    note = (
        f"labels are counts of {number} answers a sample, divided by their sum; so few answers "
        f"make the mean noise too low, and the mean bias_sq too high, by about {off:.2g}"
    )
    if several.all():
        return f"{note}, which the unbiased ones allow for"
    alone = len(rows) - int(several.sum())
    return f"{note}; {alone} samples have a single answer, which leaves unbiased ones undefined"


def _what_is_wrong(path: Path, rows: np.ndarray, wrong: np.ndarray, *, counts: bool) -> str:
    first = int(np.flatnonzero(wrong)[0])
    found = f"{path}: 'labels' {rows.shape} must be class ids, one-hot rows or soft labels, but "
    if counts or not rows[wrong].any():
        return f"{found}{int(wrong.sum())} rows are empty, the first is row {first}; leave them out"
    if not (rows >= 0).all():
        return (
            f"{found}row {first} has negative numbers or NaN; save probabilities, or class ids by "
            "labels.argmax(-1)"
        )
    return (
        f"{found}{int(wrong.sum())} rows do not sum to one, the first is row {first}, sum "
        f"{rows[first].sum():.6g}; {DIVIDE}"
    )
