"""Labels as people save them, made class ids: what is unambiguous is taken, and a note says how.

(samples, 1), whole floats, booleans     the same numbers
one-hot rows (samples, classes)          the class of the one, noted
other rows (samples, classes)            soft labels, see `label_rows.py`, noted
names, as many as there are classes      numbered in alphabetical order, or as `class_names` does
a few rows of -1, -100 or 255            samples without a label: left out, noted
"""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from bvalign.predictions.readers.label_rows import read_rows

NO_LABEL = (-1, -100, 255)
"""Numbers that stand for "no label" where they cannot be a class."""


LABEL_NAMES = ("labels", "label", "targets", "target", "y", "y_true", "y_test", "label_ids")
"""Names under which labels are found, if there is only one of them."""


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
    if labels.dtype.kind == "U":
        labels, note = _numbered(path, labels, num_classes, class_names)
        notes += note
    elif labels.dtype.kind == "f":
        wrong = np.flatnonzero(labels.ravel() % 1 != 0)  # NaN and infinity are wrong, too
        if len(wrong):
            raise ValueError(
                f"{path}: labels must be class ids, but {len(wrong)} are no whole numbers, the "
                f"first is {labels.ravel()[wrong[0]]}"
            )
    elif labels.dtype.kind == "b" and num_classes not in (None, 2):
        raise ValueError(f"{path}: labels are true or false, but there are {num_classes} classes")
    elif labels.dtype.kind not in "iub":
        raise ValueError(f"{path}: 'labels' must be integers, got {labels.dtype}")
    labels = labels.astype(np.int64)
    highest = np.iinfo(np.int64).max if num_classes is None else num_classes - 1
    outside = (labels < 0) | (labels > highest)
    if not outside.any():
        return Labels(labels, None, notes)
    values = np.unique(labels[outside])
    none = outside.all(axis=0) if labels.ndim == 2 else outside
    if len(values) == 1 and values[0] in NO_LABEL and not none.all():
        count, number = int(none.sum()), len(none)
        note = f"left out: {count} of {number} samples, whose label is {values[0]}: no class"
        return Labels(labels, ~none, (*notes, note))
    raise ValueError(_what_is_wrong(path, labels, outside, num_classes))


def label_name(names: Collection[str]) -> str:
    """Finds the name of the labels among those of a file; "labels" if that is not clear."""
    found = [name for name in LABEL_NAMES if name in names]
    return found[0] if len(found) == 1 else LABEL_NAMES[0]


def reading_notes(names: Collection[str], read: Collection[str], labels: str) -> tuple[str, ...]:
    """Says what was read under another name, and what is there and not used.

    Args:
        names: of all arrays or columns of a file.
        read: names that are read.
        labels: name of the labels.
    """
    notes = (f"labels are read from '{labels}'",) if labels in names and labels != "labels" else ()
    unused = ", ".join(name for name in names if name not in read)
    return (*notes, f"not used: {unused}") if unused else notes


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
    found = np.unique(labels)
    if class_names is not None:
        place = {str(name): number for number, name in enumerate(class_names)}
        unknown = [str(name) for name in found if str(name) not in place]
        if unknown:
            raise ValueError(
                f"{path}: labels must be among the class_names, but {unknown[0]!r} is not"
            )
        return np.vectorize(lambda name: place[str(name)], otypes=[np.int64])(labels), ()
    if num_classes is None or len(found) != num_classes:
        raise ValueError(
            f"{path}: labels are {len(found)} names for {num_classes or 'unknown'} classes, so "
            "their order is not clear; add class_names (classes), or save class ids"
        )
    shown = ", ".join(map(str, found[:3])) + ", ..." * (len(found) > 3)
    note = f"labels are names: classes 0, 1, ... are taken to be {shown}, in alphabetical order"
    return np.searchsorted(found, labels), (note,)


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
    if num_classes is None:
        return f"{path}: labels are class ids from 0 on, got {flat[wrong[0]]}"
    if flat.min() == 1 and flat.max() == num_classes:
        hint = "; do they start at 1? Then save labels - 1"
    return (
        f"{path}: labels must lie in 0..{num_classes - 1}, but {len(wrong)} do not, the first is "
        f"{flat[wrong[0]]} at row {wrong[0] % labels.shape[-1]}{hint}"
    )
