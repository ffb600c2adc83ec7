"""Checks that turn the scores of a file into `Predictions`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from bvalign.predictions.checks.clusters import find_clusters, read_clusters
from bvalign.predictions.checks.groups import find_groups, read_groups
from bvalign.predictions.checks.meaning import as_meant
from bvalign.predictions.checks.options import check_options_of_labels, with_options
from bvalign.predictions.checks.precision import precision_note
from bvalign.predictions.checks.probabilities import (
    NOTED_ERROR,
    ROWS_READ,
    check_probs,
    rounding_of,
)
from bvalign.predictions.checks.side_arrays import (
    check_member_weights,
    check_shown,
    member_weights_note,
)
from bvalign.predictions.checks.strings import with_plain_text
from bvalign.predictions.checks.top_k import checked_top
from bvalign.predictions.copies import without_copies
from bvalign.predictions.predictions import Predictions, name_members
from bvalign.predictions.scores.mapped import Rows
from bvalign.predictions.scores.names import shorten
from bvalign.predictions.scores.scores import Scores

LARGEST_EXACT = 2**53
"""Whole numbers up to here are all floats."""


def to_predictions(
    scores: Scores,
    clusters_file: Path | None = None,
    groups: object = None,
    task: str | None = None,
) -> Predictions:
    """Checks everything but non-finite logits, which `Predictions.blocks` refuses; sorts by index.

    Args:
        scores: as a reader found them.
        clusters_file: the cluster of each sample, where the predictions do not contain it.
        groups: as for `read_groups`, beside those that the predictions contain.
        task: the label to analyse where a sample has several, by number or name.

    Raises:
        ValueError: shapes, labels, ids, probabilities or votes are not what they must be.
    """
    _check_shape(scores)
    scores = with_options(with_plain_text(checked_top(scores)))
    scores = as_meant(_with_given(scores, clusters_file, groups), task)
    predictions = _checked(scores, clusters_file)
    if scores.unlabelled is None:
        return predictions
    rest = replace(scores.unlabelled, num_classes=predictions.num_classes)
    return replace(predictions, unlabelled=_checked(rest, clusters_file))


def _checked(scores: Scores, clusters_file: Path | None) -> Predictions:
    """Predictions of scores that are what their key says."""
    num_members, num_samples = scores.shape[:2]
    members = _ids(scores, "members", scores.members, num_members).tolist()
    index = _ids(scores, "index", _common(scores, "index", _index(scores), members), num_samples)
    order, named = np.argsort(index, kind="stable"), scores.sample_names
    in_order = bool((order == np.arange(num_samples)).all())
    clusters = find_clusters(scores.clusters, clusters_file, order)
    groups, groups_note = find_groups(scores.path, scores.groups, order)
    labels = None if scores.labels is None else _common(scores, "labels", scores.labels, members)
    check_options_of_labels(scores, labels)
    if scores.key == "votes":
        voted, notes = _check_votes(scores, labels)
        num_classes = max(scores.num_classes, voted)
    else:
        num_classes = scores.shape[2]
        notes = _check_probs(scores, members) if scores.key == "probs" else _precision_note(scores)

    def rows(start: int, stop: int) -> Rows:
        return slice(start, stop) if in_order else order[start:stop]

    def read(start: int, stop: int) -> Float[Tensor, "members block classes"]:
        block = scores.take(rows(start, stop))
        if scores.key == "votes":
            minus_infinity = torch.full((*block.shape, num_classes), -torch.inf)
            return minus_infinity.scatter(-1, block.unsqueeze(-1).long(), 0.0)
        return block.double().clamp(min=0).log() if scores.key == "probs" else block

    weights_note = member_weights_note(scores.weights, labelled=labels is not None)
    predictions = Predictions(
        read=read,
        target=None if labels is None else labels[order].astype(np.int64),
        index=index[order],
        members=tuple(members),
        num_classes=num_classes,
        source=str(scores.path),
        notes=(*scores.notes, *notes, *weights_note, *clusters.notes, *groups_note),
        weights=check_member_weights(scores.path, scores.weights, num_members),
        clusters=clusters.numbers,
        groups=groups,
        num_options=None if scores.num_options is None else scores.num_options[order],
        soft_labels=None if scores.soft_labels is None else scores.soft_labels[order],
        answers=None if scores.answers is None else scores.answers[order],
        sample_names=None if named is None else tuple(named[order].tolist()),
        kept=scores.kept and (lambda *ends: scores.kept(rows(*ends))),
        **check_shown(scores.path, _with_names(scores), order, num_classes),
    )
    return predictions if scores.key == "votes" else without_copies(predictions, scores.dtypes)


def _with_given(scores: Scores, clusters_file: Path | None, groups: object) -> Scores:
    """Adds clusters and groups that are given beside the scores."""
    index = _index(scores)
    samples = index[0] if index.ndim == 2 else index
    samples = samples if scores.sample_names is None else scores.sample_names
    return replace(
        scores,
        clusters=read_clusters(scores.path, scores.clusters, clusters_file, samples),
        groups=read_groups(scores.path, scores.groups, groups, samples),
    )


def _index(scores: Scores) -> Shaped[np.ndarray, "..."]:
    return np.arange(scores.shape[1]) if scores.index is None else scores.index


def _with_names(scores: Scores) -> dict[str, np.ndarray]:
    """What the report shows; names of samples where there are no texts."""
    named = {} if scores.sample_names is None else {"texts": scores.sample_names}
    return {**named, **scores.shown}


def _check_shape(scores: Scores) -> None:
    path, key, shape = scores.path, scores.key, scores.shape
    axes = ("members", "samples", "classes")[: 2 if key == "votes" else 3]
    if len(shape) != len(axes):
        raise ValueError(f"{path}: '{key}' must be ({', '.join(axes)}), got {shape}")
    if not all(shape):
        raise ValueError(
            f"{path}: needs at least one member, one sample and one class, got {shape}"
        )
    kinds = ("int", "uint") if key == "votes" else ("float", "bfloat")
    wrong = [dtype for dtype in scores.dtypes if not dtype.startswith(kinds)]
    if wrong:
        kind = "integers" if key == "votes" else "floating point"
        hint = "; save votes.astype(int)" if key == "votes" else ""
        raise ValueError(f"{path}: '{key}' must be {kind}, got {wrong[0]}{hint}")


def _ids(
    scores: Scores, key: str, ids: np.ndarray | None, length: int
) -> Shaped[np.ndarray, " length"]:
    ids = np.arange(length) if ids is None else ids
    if ids.dtype.kind == "f" and np.isfinite(ids).all() and (ids % 1 == 0).all():
        if np.abs(ids).max(initial=0) > LARGEST_EXACT:
            raise ValueError(
                f"{scores.path}: '{key}' holds floats above 2**53, where they are not exact; save "
                "integers, or number them from 0"
            )
        ids = ids.astype(np.int64)
    if ids.dtype.kind == "u" and len(ids) and ids.max() > np.iinfo(np.int64).max:
        raise ValueError(
            f"{scores.path}: '{key}' must be below 2**63, got {ids.max()}; number them from 0"
        )
    kinds = "iuU" if key == "members" else "iu"
    if ids.shape != (length,) or ids.dtype.kind not in kinds or len(np.unique(ids)) < length:
        what = "integers or names" if key == "members" else "integers"
        raise ValueError(
            f"{scores.path}: '{key}' must be {length} different {what}, got "
            f"{shorten(ids.ravel().tolist())}"
        )
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
    blocks = (scores.take(rows).double() for rows in scores.blocks())
    return precision_note(scores.key, scores.dtypes, scores.shape[1], blocks)


def _check_probs(scores: Scores, members: list[int | str]) -> tuple[str, ...]:
    """Checks probabilities in one pass, and notes what their rounding costs."""
    rounding = rounding_of(scores.take(slice(0, ROWS_READ)).double(), scores.dtypes)
    blocks = (scores.take(rows).double() for rows in scores.blocks())
    saturated, off = check_probs(scores.path, blocks, rounding, members)
    notes = _precision_note(scores)
    if off >= NOTED_ERROR:
        told = f"sums over classes are up to {off:.2g} from one ({rounding.what})"
        notes = (f"probs: {told}; each row is divided by its sum", *notes)
    if not saturated:
        return notes
    return (
        f"probs: {saturated} of {scores.shape[1]} samples have a probability rounded to one; their "
        "bias and variance are only as good as the small entries: save logits",
        *notes,
    )


def _check_votes(
    scores: Scores, labels: Shaped[np.ndarray, " samples"] | None
) -> tuple[int, tuple[str, ...]]:
    """Checks votes in one pass; returns the number of classes, and notes what votes can say."""
    lowest, highest, agreed = 1, 1, 0
    for rows in scores.blocks():
        votes = scores.take(rows).long()
        lowest, highest = min(lowest, int(votes.min())), max(highest, int(votes.max()))
        agreed += int((votes == votes[0]).all(dim=0).sum())
    if lowest < 0:
        raise ValueError(f"{scores.path}: votes are class ids from 0 on, got {lowest}; omit them")
    if labels is None:
        return highest + 1, (
            "votes: each counts as probability one, so uncertainty is zero, confidence is the "
            "fraction of votes for the most common class, and variance_unbiased is the "
            "disagreement",
        )
    shifted = lowest == 1 and int(labels.min()) == 0 and highest == int(labels.max()) + 1
    hints = ("votes: do they start at 1, as labels start at 0? Then save votes - 1",) * shifted
    highest = max(highest, int(labels.max()))
    note = (
        "votes: each counts as probability one, so risk is twice the members' error rate; bias_sq, "
        "variance, their means and cross_half are meaningful for votes, but the slope of these "
        f"members (ols) is not: it leaves out samples with a value of zero ({agreed} of "
        f"{scores.shape[1]} by agreement alone), and the rest are counts out of {scores.shape[0]}; "
        "the population slope needs probabilities"
    )
    return highest + 1, (note, *hints)
