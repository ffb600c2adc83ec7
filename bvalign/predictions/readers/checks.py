"""Checks that turn the scores of a file into `Predictions`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from bvalign.predictions.predictions import (
    Predictions,
    name_members,
    samples_per_range,
    without_copies,
)
from bvalign.predictions.readers.clusters import find_clusters
from bvalign.predictions.readers.labels import read_labels
from bvalign.predictions.readers.precision import precision_note
from bvalign.predictions.readers.scores import PROBABILITY_TOLERANCE, ROWS_SUMMED, Scores
from bvalign.predictions.readers.side_arrays import (
    check_member_weights,
    check_shown,
    member_weights_note,
)


def to_predictions(scores: Scores, clusters_file: Path | None = None) -> Predictions:
    """Checks everything but non-finite logits, which `Predictions.blocks` refuses; sorts by index.

    Args:
        scores: as a reader found them.
        clusters_file: the cluster of each sample, where the predictions do not contain it.

    Raises:
        ValueError: shapes, labels, ids, probabilities or votes are not what they must be.
    """
    _check_shape(scores)
    scores = _as_meant(scores)
    num_members, num_samples = scores.shape[:2]
    members = _ids(scores, "members", scores.members, num_members).tolist()
    index = np.arange(num_samples) if scores.index is None else scores.index
    index = _ids(scores, "index", _common(scores, "index", index, members), num_samples)
    order = np.argsort(index, kind="stable")
    in_order = bool((order == np.arange(num_samples)).all())
    clusters = find_clusters(scores.path, scores.clusters, clusters_file, index, order)
    labels = scores.labels
    labels = None if labels is None else _common(scores, "labels", labels, members)
    if scores.key == "votes":
        num_classes, notes = _check_votes(scores, labels)
    else:
        num_classes = scores.shape[2]
        probs = scores.key == "probs"
        notes = _check_probs(scores, members) if probs else _precision_note(scores)

    def read(start: int, stop: int) -> Float[Tensor, "members block classes"]:
        block = scores.take(slice(start, stop) if in_order else order[start:stop])
        if scores.key == "votes":
            minus_infinity = torch.full((*block.shape, num_classes), -torch.inf)
            return minus_infinity.scatter(-1, block.unsqueeze(-1).long(), 0.0)
        return block.double().log() if scores.key == "probs" else block

    weights = scores.weights
    weights_note = member_weights_note(weights, labelled=labels is not None)
    predictions = Predictions(
        read=read,
        target=None if labels is None else labels[order].astype(np.int64),
        index=index[order],
        members=tuple(members),
        num_classes=num_classes,
        notes=(*scores.notes, *notes, *weights_note, *clusters.notes),
        weights=check_member_weights(scores.path, weights, num_members),
        clusters=clusters.numbers,
        soft_labels=None if scores.soft_labels is None else scores.soft_labels[order],
        answers=None if scores.answers is None else scores.answers[order],
        **check_shown(scores.path, scores.shown, order, num_classes),
    )
    return predictions if scores.key == "votes" else without_copies(predictions)


def _as_meant(scores: Scores) -> Scores:
    """Labels as class ids, without samples that have none, and probabilities under their name."""
    if scores.labels is not None:
        names = scores.shown.get("class_names")
        found = read_labels(scores.path, scores.labels, scores.shape, names)
        notes = (*scores.notes, *found.notes)
        soft = {"soft_labels": found.soft, "answers": found.answers}
        scores = replace(scores, labels=found.ids, notes=notes, **soft)
        if found.known is not None:
            scores = scores.of_samples(np.flatnonzero(found.known))
    if scores.key != "logits":
        return scores
    first = scores.take(slice(0, ROWS_SUMMED)).double()
    sums_to_one = (first.sum(dim=-1) - 1).abs() < PROBABILITY_TOLERANCE
    if not (sums_to_one.all() and (first >= 0).all()):
        return scores
    note = "logits: rows are at least 0 and sum to one, so they are read as probabilities"
    return replace(scores, key="probs", notes=(*scores.notes, note))


def _check_shape(scores: Scores) -> None:
    path, key, shape = scores.path, scores.key, scores.shape
    axes = ("members", "samples", "classes")[: 2 if key == "votes" else 3]
    if len(shape) != len(axes):
        raise ValueError(f"{path}: '{key}' must be ({', '.join(axes)}), got {shape}")
    if not all(shape[:2]) or (len(shape) == 3 and shape[2] < 2):
        raise ValueError(
            f"{path}: needs at least one member, one sample and two classes, got {shape}"
        )
    kinds = ("int", "uint") if key == "votes" else ("float", "bfloat")
    wrong = [dtype for dtype in scores.dtypes if not dtype.startswith(kinds)]
    if wrong:
        kind = "integers" if key == "votes" else "floating point"
        raise ValueError(f"{path}: '{key}' must be {kind}, got {wrong[0]}")


def _ids(
    scores: Scores, key: str, ids: np.ndarray | None, length: int
) -> Shaped[np.ndarray, " length"]:
    ids = np.arange(length) if ids is None else ids
    kinds = "iuU" if key == "members" else "iu"
    if ids.shape != (length,) or ids.dtype.kind not in kinds or len(np.unique(ids)) < length:
        what = "integers or names" if key == "members" else "integers"
        raise ValueError(f"{scores.path}: '{key}' must be {length} different {what}, got {ids}")
    return ids if ids.dtype.kind == "U" else ids.astype(np.int64)


def _common(scores: Scores, key: str, values: np.ndarray, members: list[int | str]) -> np.ndarray:
    """Reduces (members, samples) to the (samples) that all members must agree on."""
    if values.ndim != 2 or values.shape != scores.shape[:2]:
        return values
    different = (values != values[0]).sum(axis=1)
    if not different.any():
        return values[0]
    first = int(np.flatnonzero(different)[0])
    row = int(np.flatnonzero(values[first] != values[0])[0])
    reordered = key == "index" and (np.sort(values[first]) == np.sort(values[0])).all()
    named = name_members(members, torch.from_numpy(different), scores.shape[1])
    raise ValueError(
        f"{scores.path}: all members must have the same samples in one order, but '{key}' differs "
        f"from member {members[0]}: {named}; the first is {values[first, row]} instead of "
        f"{values[0, row]} at row {row} of member {members[first]}"
        + (", which has the same samples in another order" if reordered else "")
    )


def _precision_note(scores: Scores) -> tuple[str, ...]:
    blocks = (scores.take(rows).double() for rows in _blocks(scores))
    return precision_note(scores.key, scores.dtypes, scores.shape[1], blocks)


def _blocks(scores: Scores) -> list[slice]:
    num_members, num_samples, *classes = scores.shape
    step = samples_per_range(num_members, *(classes or [1]))
    return [slice(i, min(i + step, num_samples)) for i in range(0, num_samples, step)]


def _check_probs(scores: Scores, members: list[int | str]) -> tuple[str, ...]:
    """Checks probabilities in one pass, and notes what their rounding costs."""
    num_members, num_samples = scores.shape[:2]
    missing = torch.zeros(num_members, dtype=torch.int64)
    first, num_bad, saturated = None, 0, 0
    for rows in _blocks(scores):
        probs = scores.take(rows).double()
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
        named = name_members(members, missing, num_samples)
        raise ValueError(f"{scores.path}: 'probs' are NaN: {named}; leave these members out")
    if first is not None:
        raise ValueError(
            f"{scores.path}: 'probs' must be at least 0 and sum to one over classes, but {num_bad} "
            f"rows do not; the first is member {first[0]}, sample {first[1]}, sum {first[2]:.6g}"
        )
    if not saturated:
        return _precision_note(scores)
    return (
        f"probs: {saturated} of {num_samples} samples have a probability rounded to one; their "
        "bias and variance are only as good as the small entries: save logits",
        *_precision_note(scores),
    )


def _check_votes(
    scores: Scores, labels: Shaped[np.ndarray, " samples"] | None
) -> tuple[int, tuple[str, ...]]:
    """Checks votes in one pass; returns the number of classes, and notes what votes can say."""
    lowest, highest, agreed = 0, 1, 0
    for rows in _blocks(scores):
        votes = scores.take(rows).long()
        lowest, highest = min(lowest, int(votes.min())), max(highest, int(votes.max()))
        agreed += int((votes == votes[0]).all(dim=0).sum())
    if lowest < 0:
        raise ValueError(f"{scores.path}: votes are class ids from 0 on, got {lowest}")
    if labels is None:
        return highest + 1, (
            "votes: each counts as probability one, so uncertainty is zero, confidence is the "
            "fraction of votes for the most common class, and variance_unbiased is the "
            "disagreement",
        )
    if labels.dtype.kind in "iu":
        highest = max(highest, int(labels.max()))
    note = (
        "votes: each counts as probability one, so risk is twice the members' error rate; bias_sq, "
        "variance, their means and cross_half are meaningful for votes, but the slope of these "
        f"members (ols) is not: it leaves out samples with a value of zero ({agreed} of "
        f"{scores.shape[1]} by agreement alone), and the rest are counts out of {scores.shape[0]}; "
        "the population slope needs probabilities"
    )
    return highest + 1, (note,)
