"""Scores from named arrays, as .npz, .safetensors, .pt, .json and Python hold them.

    logits, probs     (members, samples, classes)
    votes             class ids (members, samples)
    scores, preds     either; the values tell
    seed0, seed1      (samples, classes), or class ids (samples): one array for each member
    topk_logits, ...  logits of some classes, see `top_k.py`

Arrays of two axes are one member's (samples, classes), or the single outputs of a binary classifier
(members, samples): the labels tell which.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped

from bvalign.predictions.scores.held import Array, held
from bvalign.predictions.scores.names import (
    KINDS,
    LABEL,
    Names,
    find_name,
    group_columns,
    refuse_options,
    shorten,
)
from bvalign.predictions.scores.numbers import whole_or_names
from bvalign.predictions.scores.scores import SHOWN, Scores
from bvalign.predictions.scores.top_k import TOP, TOP_LOGITS, has_top, open_top

SIDE = ("index", "members", "weights", "clusters", "num_options")


def scores_of_arrays(path: Path, arrays: Mapping[str, Array], names: Names) -> Scores:
    """Finds the scores among named arrays, and what belongs to them.

    Args:
        path: named in messages.
        arrays: all of the file.
        names: given by the user.

    Raises:
        ValueError: there are no scores, or not clearly so.
    """
    refuse_options(path, names, ("member", "sample"), "holds arrays, not columns")
    label = find_name(path, "label", LABEL, arrays, names.label)
    top = open_top(path, arrays) if has_top(arrays, names) else None
    if top is None:
        key, found, notes = _find_scores(path, arrays, names, label)
    else:
        key, found, notes = "logits", {TOP_LOGITS: arrays[TOP_LOGITS]}, top.notes
    labels = arrays[label].load() if label else None
    shown = {name: arrays[name].load() for name in SHOWN if name in arrays}
    if key == "votes" and any(array.dtype_name.startswith("str") for array in found.values()):
        votes = np.stack([array.load() for array in found.values()])
        votes, class_names = number_votes(path, votes, labels, shown.get("class_names"))
        shown |= {} if class_names is None else {"class_names": class_names}
        found = dict(zip(found, map(held, votes), strict=True))
    if top is None:
        take, shape = _arrange(path, key, found, labels, one_member=names.one_member)
    else:
        take, shape = top.take, top.shape
    side = {name: arrays[name].load() for name in SIDE if name in arrays}
    if len(found) > 1:
        side.setdefault("members", np.array(list(found)))
    groups = group_columns(arrays)
    used = {*found, *SIDE, *SHOWN, *groups, label, *(TOP if top else ())}
    if label and label != "labels":
        notes.append(f"labels are read from '{label}'")
    unused = ", ".join(name for name in arrays if name not in used)
    if unused:
        notes.append(f"not used: {unused}")
    return Scores(
        path=path,
        key=key,
        shape=shape,
        dtypes=tuple(sorted({array.dtype_name for array in found.values()})),
        take=take,
        labels=labels,
        notes=tuple(notes),
        shown=shown,
        groups={column: arrays[name].load() for name, column in groups.items()},
        kept=top and top.kept,
        **side,
    )


def _find_scores(
    path: Path, arrays: Mapping[str, Array], names: Names, label: str | None
) -> tuple[str, dict[str, Array], list[str]]:
    """Gives the kind of scores and their arrays: one with all members, or one for each."""
    given = names.scores or names.votes
    if given is not None:
        if given not in arrays:
            option = "scores" if names.scores else "votes"
            raise ValueError(f"{path}: --{option} {given} is not there, has {shorten(arrays)}")
        kind = "votes" if names.votes else KINDS.get(given.lower(), "scores")
        return kind, {given: arrays[given]}, []
    for name, kind in KINDS.items():
        if name in arrays and name != label:
            axes = len(arrays[name].shape) + names.one_member
            ids = kind == "scores" and _is_whole(arrays[name]) and axes <= 2
            scores = name in ("predicted", "y_pred") and arrays[name].dtype_name.startswith("float")
            kind = "votes" if ids else "scores" if scores else kind
            read = "read as votes: they are whole" if ids else f"read from '{name}'"
            said = [] if name == kind else [f"{name if ids else kind} are {read}"]
            return kind, {name: arrays[name]}, said if kind != "scores" else []
    beside = {*SIDE, *SHOWN, *group_columns(arrays), label}
    rest = {n: a for n, a in arrays.items() if n not in beside}
    shapes = {(array.shape, _is_whole(array)) for array in rest.values()}
    sizes = {str(shape) for shape, _ in shapes}
    if len(shapes) != 1 or not 1 <= len(next(iter(shapes))[0]) <= 2 or len(rest) < 2:
        raise ValueError(
            f"{path}: needs an array 'logits' or 'probs' (members, samples, classes) or 'votes' "
            f"(members, samples), has {shorten(arrays)}; np.stack([...]) joins arrays of members"
            + (f", which here have shapes {shorten(sorted(sizes))}" if len(sizes) > 1 else "")
            + "; --scores chooses one"
        )
    kind = "votes" if _is_whole(next(iter(rest.values()))) else "scores"
    return kind, rest, [f"each of these arrays is read as a member: {shorten(rest)}"]


def _is_whole(array: Array) -> bool:
    """Tells whether an array holds class ids or names of classes."""
    return array.dtype_name.startswith(("int", "uint", "str"))


def number_votes(
    path: Path,
    votes: Shaped[np.ndarray, "*members samples"],
    labels: Shaped[np.ndarray, "..."] | None,
    class_names: Shaped[np.ndarray, " classes"] | None = None,
) -> tuple[Shaped[np.ndarray, "*members samples"], Shaped[np.ndarray, " classes"] | None]:
    """Numbers votes that are names of classes, in the order of class_names or the alphabet.

    Args:
        path: named in messages.
        votes: class ids, which are left as they are, also as strings, or names.
        labels: names that occur there count as classes, too.
        class_names: the classes in order, if known.

    Returns:
        Class ids, -1 for names that are none of class_names, and the names if there are any.

    Raises:
        ValueError: votes are names, and labels numbers of unknown names.
    """
    if votes.dtype.kind != "U":
        return votes, class_names
    if class_names is None:
        numbers = labels is not None and labels.dtype.kind in "iuf"
        labels = np.array([], str) if labels is None or labels.dtype.kind != "U" else labels
        names = np.concatenate([votes.ravel(), labels.ravel()])
        ids = whole_or_names(names)
        if ids.dtype.kind == "i":
            return ids[: votes.size].reshape(votes.shape), None
        if numbers:
            raise ValueError(
                f"{path}: votes are names and labels are numbers; add class_names (classes), or "
                "save both alike"
            )
        class_names = np.unique(names)
    place = {name: number for number, name in enumerate(class_names.tolist())}
    return np.vectorize(lambda v: place.get(v, -1), otypes=[np.int64])(votes), class_names


def _arrange(
    path: Path,
    key: str,
    found: Mapping[str, Array],
    labels: np.ndarray | None,
    *,
    one_member: bool,
) -> tuple[object, tuple[int, ...]]:
    """Gives a function that reads rows of all members, and (members, samples, classes)."""
    arrays = list(found.values())
    shape, last = arrays[0].shape, () if key == "votes" else (1,)
    if len(arrays) > 1:
        per_class = shape[1:] or last
        return (
            lambda rows: torch.stack([a.take(rows, axis=0).view(-1, *per_class) for a in arrays]),
            (len(arrays), shape[0], *per_class),
        )
    (array,) = arrays
    if not shape and not one_member:
        raise ValueError(f"{path}: '{key}' must be an array (members, samples, ...), got a number")
    full = 2 if key == "votes" else 3
    if len(shape) >= full and not (one_member and key == "votes"):
        return lambda rows: array.take(rows, axis=1), shape
    if len(shape) == 1:
        return lambda rows: array.take(rows, axis=0).view(1, -1, *last), (1, *shape, *last)
    if one_member or _samples_first(path, key, shape, labels):
        return lambda rows: array.take(rows, axis=0)[None], (1, *shape)
    return lambda rows: array.take(rows, axis=1)[..., None], (*shape, 1)


def _samples_first(path: Path, key: str, shape: tuple[int, ...], labels: np.ndarray | None) -> bool:
    """Tells (samples, classes) of one member from (members, samples) of a binary classifier."""
    samples = None if labels is None or not labels.ndim else labels.shape[0]
    if samples == shape[0] and samples != shape[1]:
        return True
    if samples == shape[1] and samples != shape[0]:
        return False
    raise ValueError(
        f"{path}: '{key}' {shape} may be one member (samples, classes) or the single output of a "
        "binary classifier (members, samples); save it as (members, samples, classes), with one "
        "class for a single output"
    )
