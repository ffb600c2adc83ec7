"""Labels as people save them, made class ids: what is unambiguous is taken, and a note says how.

(samples, 1), whole floats, booleans     the same numbers
one-hot rows (samples, classes)          the class of the one, noted
other rows (samples, classes)            soft labels, see `label_rows.py`, noted
names, as many as there are classes      numbered in alphabetical order, or as `class_names` does
a few rows of -1, -100 or 255            samples without a label: left out, noted
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from bvalign.predictions.checks.label_rows import read_rows
from bvalign.predictions.scores.names import shorten
from bvalign.predictions.scores.numbers import whole_or_names

NO_LABEL = (-1, -100, 255)
"""Numbers that stand for "no label" where they cannot be a class."""


class Labels(NamedTuple):
    """Class ids, and what was done to get them."""

    ids: Int64[np.ndarray, "..."]  # (samples), or (members, samples)
    known: Bool[np.ndarray, " samples"] | None  # None where every sample has a label
    notes: tuple[str, ...]
    soft: Float64[np.ndarray, "samples classes"] | None = None  # ids are then their argmax
    answers: Int64[np.ndarray, " samples"] | None = None  # behind each row of counts


def read_labels(
    path: Path,
    labels: Shaped[np.ndarray, "..."],
    shape: tuple[int, ...],
    class_names: np.ndarray | None = None,
) -> Labels:
    """Makes class ids of labels.

    Args:
        path: named in messages.
        labels: as the file has them.
        shape: of the scores: (members, samples, classes), or (members, samples) of votes.
        class_names: strings of the classes, in order, if the file has them.

    Raises:
        ValueError: they are no class ids, or not clearly so; the message says what to do.
    """
    if _are_rows(labels, shape):
        ids, notes, soft, answers = read_rows(path, labels)
        return Labels(ids, None, notes, soft, answers)
    notes: tuple[str, ...] = ()
    if labels.shape == (shape[1], 1):
        labels = labels[:, 0]
    if labels.shape not in (shape[1:2], shape[:2]):
        raise ValueError(
            f"{path}: 'labels' must be ({shape[1]} samples), got {labels.shape} for scores "
            f"{shape}{_turned(labels.shape, shape)}"
        )
    num_classes = shape[2] if len(shape) == 3 else None
    if labels.dtype.kind == "U" and class_names is None:
        labels = whole_or_names(labels)
    if labels.dtype.kind == "U":
        labels, note = _numbered(path, labels, num_classes, class_names)
        notes += note
    elif labels.dtype.kind == "f":
        wrong = np.flatnonzero(labels.ravel() % 1 != 0)  # NaN and infinity are wrong, too
        if len(wrong):
            raise ValueError(
                f"{path}: labels must be class ids, but {len(wrong)} are no whole numbers, the "
                f"first is {labels.ravel()[wrong[0]]}; samples without a label may be labelled -1"
            )
    elif labels.dtype.kind == "b" and num_classes not in (None, 2):
        raise ValueError(
            f"{path}: labels are true or false, but there are {num_classes} classes; "
            "save class ids, or choose one of several labels with --task"
        )
    elif labels.dtype.kind not in "iub":
        raise ValueError(f"{path}: 'labels' must be integers or strings, got {labels.dtype}")
    if labels.dtype.kind in "uf" and int(labels.max(initial=0)) >= 2**63:
        raise ValueError(f"{path}: labels must be below 2**63, got {labels.max()}; save class ids")
    labels = labels.astype(np.int64)
    highest = np.iinfo(np.int64).max if num_classes is None else num_classes - 1
    outside = (labels < 0) | (labels > highest)
    if not outside.any():
        return Labels(labels, None, notes)
    values = np.unique(labels[outside])
    none = outside.all(axis=0) if labels.ndim == 2 else outside
    if len(values) == 1 and values[0] in NO_LABEL and not none.all():
        few, label = f"{int(none.sum())} of {len(none)} samples", values[0]
        return Labels(labels, ~none, (*notes, f"left out: {few}, whose label is {label}: no class"))
    raise ValueError(_what_is_wrong(path, labels, outside, num_classes))


def _are_rows(labels: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether labels are rows over the classes."""
    if len(shape) < 3 or labels.shape != shape[1:] or labels.dtype.kind not in "biuf":
        return False
    # of each member: as many members as samples, and samples as classes
    return not (
        labels.shape == shape[:2] and labels.dtype.kind in "iu" and labels.max(initial=0) > 1
    )


def _numbered(
    path: Path, labels: np.ndarray, num_classes: int | None, class_names: np.ndarray | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers names of classes."""
    empty = labels == ""
    found = np.unique(labels[~empty])
    if class_names is not None:
        place = {str(name): number for number, name in enumerate(class_names)}
        unknown = [str(name) for name in found if str(name) not in place]
        if unknown:
            raise ValueError(
                f"{path}: labels must be among the class_names, but {unknown[0]!r} is not"
            )
        numbered = np.vectorize(lambda name: place.get(str(name), -1), otypes=[np.int64])
        return numbered(labels), ()
    if num_classes is None or len(found) != num_classes:
        odd = [name for name in found if not name.isdecimal()] or found
        raise ValueError(
            f"{path}: labels are {len(found)} names ({shorten(odd, 4)}) for "
            f"{num_classes or 'unknown'} classes, so their order is not clear; add class_names "
            "(classes), or save class ids"
        )
    note = f"labels are names: classes 0, 1, ... are {shorten(found, 4)}, in alphabetical order"
    return np.where(empty, -1, np.searchsorted(found, labels)), (note,)


def _turned(labels: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """A hint where the samples come first."""
    if labels[:1] != shape[:1] or len(labels) > 1:
        return ""
    order = ", ".join(map(str, (1, 0, 2)[: len(shape)]))
    return f"; do the samples come first? Then save scores.transpose({order})"


def _what_is_wrong(
    path: Path, labels: np.ndarray, outside: np.ndarray, num_classes: int | None
) -> str:
    flat = labels.ravel()
    wrong = np.flatnonzero(outside.ravel())
    hint = ""
    if wrong.size == flat.size and (flat == flat[0]).all() and flat[0] in NO_LABEL:
        return f"{path}: no sample has a label: all are {flat[0]} or empty; leave the labels out"
    if num_classes is None:
        return f"{path}: labels are class ids from 0 on, got {flat[wrong[0]]}"
    if flat.min() == 1 and flat.max() == num_classes:
        hint = "; do they start at 1? Then save labels - 1"
    return (
        f"{path}: labels must lie in 0..{num_classes - 1}, but {len(wrong)} do not, the first is "
        f"{flat[wrong[0]]} at row {wrong[0] % labels.shape[-1]}{hint}"
    )
