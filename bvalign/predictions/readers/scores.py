"""Scores as any file holds them, checked and made into `Predictions`: the checks of all readers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bvalign.predictions import predictions as table
from bvalign.predictions.predictions import Predictions
from bvalign.predictions.readers.mapped import Rows
from bvalign.predictions.readers.side_arrays import check_shown, check_weights, weights_note

KEYS = ("logits", "probs", "votes")
PROBABILITY_TOLERANCE = 1e-3
"""How far probabilities may be from summing to one: float16 softmax over 1000 classes is within."""

LOSS = 0.01
"""Relative error of a sample's squared bias from which 16-bit scores are said to cost digits."""


@dataclass(frozen=True)
class Raw:
    """What a reader found; nothing but the file's own wholeness is checked yet.

    Attributes:
        path: named in messages.
        key: logits, probs or votes.
        shape: (members, samples, classes); of votes (members, samples).
        dtypes: names of the number types of the members.
        rows: rows in the file -> scores of all members.
        labels: class ids (samples), or (members, samples) where each member has its own; None
            where there are none.
        index: rows of the data set, shaped as labels may be; None for 0, 1, ...
        members: ids or names; None for 0, 1, ...
        weights: how often each member counts (members); None where all count alike.
        notes: what the reader has to say.
        shown: images, texts and names of classes, as far as there are any.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtypes: tuple[str, ...]
    rows: Callable[[Rows], Tensor]
    labels: np.ndarray | None = None
    index: np.ndarray | None = None
    members: np.ndarray | None = None
    weights: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    shown: Mapping[str, np.ndarray] = field(default_factory=dict)


def to_predictions(raw: Raw) -> Predictions:
    """Checks everything but NaN logits, which `Predictions.blocks` refuses, and sorts by index.

    Raises:
        ValueError: shapes, labels, ids, probabilities or votes are not what they must be.
    """
    _check_shape(raw)
    num_members, num_samples = raw.shape[:2]
    members = _ids(raw, "members", raw.members, num_members).tolist()
    index = np.arange(num_samples) if raw.index is None else raw.index
    index = _ids(raw, "index", _same(raw, "index", index, members), num_samples)
    labels = None if raw.labels is None else _same(raw, "labels", raw.labels, members)
    if raw.key == "votes":
        num_classes, notes = _check_votes(raw, labels)
    else:
        num_classes = raw.shape[2]
        notes = _check_probs(raw, members) if raw.key == "probs" else _half_note(raw)
    if labels is not None:
        _check_labels(raw.path, labels, num_classes)
    order = np.argsort(index, kind="stable")
    in_order = bool((order == np.arange(num_samples)).all())

    def read(start: int, stop: int) -> Tensor:
        scores = raw.rows(slice(start, stop) if in_order else order[start:stop])
        if raw.key == "votes":
            minus_infinity = torch.full((*scores.shape, num_classes), -torch.inf)
            return minus_infinity.scatter(-1, scores.unsqueeze(-1).long(), 0.0)
        return scores.double().log() if raw.key == "probs" else scores

    predictions = Predictions(
        read=read,
        target=None if labels is None else labels[order].astype(np.int64),
        index=index[order],
        members=tuple(members),
        num_classes=num_classes,
        notes=(*raw.notes, *notes, *weights_note(raw.weights, labelled=labels is not None)),
        weights=check_weights(raw.path, raw.weights, num_members),
        **check_shown(raw.path, raw.shown, order, num_classes),
    )
    return predictions if raw.key == "votes" else table.without_copies(predictions)


def _check_shape(raw: Raw) -> None:
    path, key, shape = raw.path, raw.key, raw.shape
    labels = None if raw.labels is None else raw.labels.shape
    axes = ("members", "samples", "classes")[: 2 if key == "votes" else 3]
    if len(shape) != len(axes) or labels not in (None, shape[1:2], shape[:2]):
        raise ValueError(
            f"{path}: '{key}' must be ({', '.join(axes)}) and 'labels' (samples), got {shape} and "
            f"{'no labels' if labels is None else labels}"
        )
    if not all(shape[:2]) or (len(shape) == 3 and shape[2] < 2):
        raise ValueError(
            f"{path}: needs at least one member, one sample and two classes, got {shape}"
        )
    kinds = ("int", "uint") if key == "votes" else ("float", "bfloat")
    wrong = [dtype for dtype in raw.dtypes if not dtype.startswith(kinds)]
    if wrong:
        kind = "integers" if key == "votes" else "floating point"
        raise ValueError(f"{path}: '{key}' must be {kind}, got {wrong[0]}")


def _check_labels(path: Path, labels: np.ndarray, num_classes: int) -> None:
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: 'labels' must be integers, got {labels.dtype}")
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        raise ValueError(
            f"{path}: labels must lie in 0..{num_classes - 1}, but {len(outside)} do not, the "
            f"first is {labels[outside[0]]} at row {outside[0]}"
        )


def _ids(raw: Raw, key: str, ids: np.ndarray | None, length: int) -> np.ndarray:
    ids = np.arange(length) if ids is None else ids
    kinds = "iuU" if key == "members" else "iu"
    if ids.shape != (length,) or ids.dtype.kind not in kinds or len(np.unique(ids)) < length:
        what = "integers or names" if key == "members" else "integers"
        raise ValueError(f"{raw.path}: '{key}' must be {length} different {what}, got {ids}")
    return ids if ids.dtype.kind == "U" else ids.astype(np.int64)


def _same(raw: Raw, key: str, values: np.ndarray, members: list[int | str]) -> np.ndarray:
    """The one (samples) that all members share."""
    if values.ndim != 2 or values.shape != raw.shape[:2]:
        return values
    different = (values != values[0]).sum(axis=1)
    if not different.any():
        return values[0]
    first = int(np.flatnonzero(different)[0])
    row = int(np.flatnonzero(values[first] != values[0])[0])
    sorted_alike = key == "index" and (np.sort(values[first]) == np.sort(values[0])).all()
    named = table.name_members(members, torch.from_numpy(different), raw.shape[1])
    raise ValueError(
        f"{raw.path}: all members must hold the same samples in one order, but '{key}' differs "
        f"from member {members[0]}: {named}; the first is {values[first, row]} instead of "
        f"{values[0, row]} at row {row} of member {members[first]}"
        + (", which has the same samples in another order" if sorted_alike else "")
    )


def _half_note(raw: Raw) -> tuple[str, ...]:
    """How many samples 16 bits have cost digits; one pass over the scores if there are any."""
    half = sorted({"float16", "bfloat16"} & set(raw.dtypes))
    if not half:
        return ()
    coarsest = max((torch.finfo(getattr(torch, name)) for name in half), key=lambda f: f.eps)
    errors = (_rounding_error(raw.key, raw.rows(rows).double(), coarsest) for rows in _blocks(raw))
    count = sum(int((error >= LOSS).sum()) for error in errors)
    return (
        f"{raw.key}: {', '.join(half)} costs digits: the squared bias of {count} of "
        f"{raw.shape[1]} samples may be off by {LOSS:.0%} or more; save float32 logits",
    )


def _rounding_error(key: str, scores: Tensor, info: torch.finfo) -> Tensor:
    """Largest relative error (samples) of bias_sq from rounding scores (members, samples, classes).

    Logits off by eps/2 max|z| change each wrong class's share by eps max|z|, its square by twice
    that. Probabilities keep eps/2 until the largest wrong one falls below the normal numbers.
    """
    if key == "logits":
        return 2 * info.eps * scores.abs().amax(dim=-1).amax(dim=0)
    second = scores.topk(2, dim=-1).values[..., 1].amin(dim=0)
    return info.eps * (info.smallest_normal / second).clamp(min=1)


def _blocks(raw: Raw) -> list[slice]:
    step = table.samples_per_block(raw.shape[0], raw.shape[2] if len(raw.shape) == 3 else 1)
    return [slice(i, min(i + step, raw.shape[1])) for i in range(0, raw.shape[1], step)]


def _check_probs(raw: Raw, members: list[int | str]) -> tuple[str, ...]:
    """One pass over probabilities; returns what rounding has cost."""
    num_members, num_samples = raw.shape[:2]
    missing = torch.zeros(num_members, dtype=torch.int64)
    first, num_bad, saturated = None, 0, 0
    for rows in _blocks(raw):
        probs = raw.rows(rows).double()
        nan, total = probs.isnan().any(dim=-1), probs.sum(dim=-1)
        missing += nan.sum(dim=1)
        off = ~((total - 1).abs() < PROBABILITY_TOLERANCE) | (probs < 0).any(dim=-1)
        bad = torch.nonzero(off & ~nan)
        if len(bad) and first is None:
            member, row = bad[0].tolist()
            first = (members[member], rows.start + row, float(total[member, row]))
        num_bad += len(bad)
        saturated += int((probs.amax(dim=-1) == 1).any(dim=0).sum())
    if missing.any():
        named = table.name_members(members, missing, num_samples)
        raise ValueError(f"{raw.path}: 'probs' are NaN: {named}; leave these members out")
    if first is not None:
        raise ValueError(
            f"{raw.path}: 'probs' must be at least 0 and sum to one over classes, but {num_bad} "
            f"rows do not; the first is member {first[0]}, sample {first[1]}, sum {first[2]:.6g}"
        )
    if not saturated:
        return _half_note(raw)
    return (
        f"probs: {saturated} of {num_samples} samples have a probability rounded to one; their "
        "bias and variance are only as good as the small entries: save logits",
        *_half_note(raw),
    )


def _check_votes(raw: Raw, labels: np.ndarray | None) -> tuple[int, tuple[str, ...]]:
    """One pass over votes: the number of classes, and what a reader may conclude from votes."""
    lowest, highest, agreed = 0, 1, 0
    for rows in _blocks(raw):
        votes = raw.rows(rows).long()
        lowest, highest = min(lowest, int(votes.min())), max(highest, int(votes.max()))
        agreed += int((votes == votes[0]).all(dim=0).sum())
    if lowest < 0:
        raise ValueError(f"{raw.path}: votes are class ids from 0 on, got {lowest}")
    if labels is None:
        return highest + 1, (
            "votes: each counts as probability one, so uncertainty is zero, confidence is the "
            "share of the largest vote, and variance_unbiased is the disagreement",
        )
    if labels.dtype.kind in "iu":
        highest = max(highest, int(labels.max()))
    note = (
        "votes: each counts as probability one, so risk is twice the members' error rate; bias_sq, "
        "variance, their means and cross_half are meaningful for votes, but ols, ols_unbiased and "
        f"slope_one are not: they leave out samples with a value of zero ({agreed} of "
        f"{raw.shape[1]} by agreement alone), and the rest are counts out of {raw.shape[0]}"
    )
    return highest + 1, (note,)
