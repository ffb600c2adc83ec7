"""What scores and labels are meant to be, where their names or shapes do not say it."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from bvalign.predictions.checks.label_rows import DIVIDE
from bvalign.predictions.checks.labels import read_labels
from bvalign.predictions.checks.probabilities import ROWS_READ, is_hard, rounding_of
from bvalign.predictions.scores.mapped import Rows
from bvalign.predictions.scores.scores import Scores

MANY_CLASSES = 10_000
"""Votes with ids from here on are ids of something, and only those that occur are classes."""


def as_meant(scores: Scores, task: str | None = None) -> Scores:
    """Gives scores whose key, classes and labels are what everything after takes them for.

    Args:
        scores: as a reader found them.
        task: the label to analyse where a sample has several, by number or name.

    Raises:
        ValueError: it is not clear what they are, or the labels are no class ids.
    """
    scores = _of_task(scores, task)
    if scores.key == "votes":
        scores = _with_classes_that_occur(scores)
    else:
        scores = scores if scores.kept else _with_kind(scores)
        if scores.shape[2] == 1:
            scores = _with_both_classes(scores)
        scores = _hard_as_votes(scores)
    if scores.labels is None:
        return _with_hint(scores)
    names = scores.shown.get("class_names")
    found = read_labels(scores.path, scores.labels, scores.shape, names)
    scores = replace(
        scores,
        labels=found.ids,
        soft_labels=found.soft,
        answers=found.answers,
        notes=(*scores.notes, *found.notes),
    )
    if found.known is None:
        return scores
    rest = replace(scores, labels=None, notes=()).of_samples(np.flatnonzero(~found.known))
    return replace(scores.of_samples(np.flatnonzero(found.known)), unlabelled=rest)


def _with_hint(scores: Scores) -> Scores:
    """Says what may be wrong where there are fewer samples than members, and no labels to tell."""
    num_members, num_samples = scores.shape[:2]
    if num_members <= num_samples:
        return scores
    hint = f"{num_members} members on {num_samples} samples: do the samples come first?"
    return replace(scores, notes=(*scores.notes, f"{hint} Then save scores.swapaxes(0, 1)"))


def _of_task(scores: Scores, task: str | None) -> Scores:
    """Chooses one of several labels that are true or false, as a question of two classes."""
    labels = scores.labels
    several = (
        labels is not None
        and labels.ndim == 2
        and labels.shape == scores.shape[1:]
        and labels.shape[1] > 1
        and labels.dtype.kind in "biuf"
        and bool(((labels == 0) | (labels == 1)).all())
        and bool((labels.sum(axis=1) > 1).any())
    )
    if not several:
        if task != scores.task:
            raise ValueError(
                f"{scores.path}: --task {task} needs labels (samples, tasks) that are each 0 or 1"
            )
        return scores
    if scores.kept is not None:
        raise ValueError(f"{scores.path}: top-k logits have no tasks; save the logits of all")
    names = scores.shown.get("class_names", np.arange(labels.shape[1])).astype(str).tolist()
    if task not in names:
        raise ValueError(
            f"{scores.path}: samples have several labels; analyse one at a time, with --task "
            f"{' or '.join(names[:4])}{' ...' * (len(names) > 4)}; if they are answers of people, "
            f"{DIVIDE}"
        )
    place = names.index(task)
    return replace(
        scores,
        shape=(*scores.shape[:2], 1),
        take=lambda rows: scores.take(rows)[..., place : place + 1],
        labels=labels[:, place].astype(np.int64),
        shown={name: value for name, value in scores.shown.items() if name != "class_names"},
        notes=(*scores.notes, f"task: {task}, one of {len(names)}"),
    )


def _with_kind(scores: Scores) -> Scores:
    """Tells logits from probabilities by the first rows of all members, and says so."""
    first = scores.take(slice(0, ROWS_READ)).double()
    key, why = _single_kind(first, scores) if scores.shape[2] == 1 else _kind(first, scores)
    if key == scores.key == "logits" and ((first >= 0) & (first <= 1)).all():
        note = "logits: the first rows all lie in 0..1; if they are probabilities, call them probs"
        return replace(scores, notes=(*scores.notes, note))
    if key == scores.key:
        return scores
    return replace(scores, key=key, notes=(*scores.notes, f"{scores.key} are read as {key}: {why}"))


def _kind(first: Float[Tensor, "members rows classes"], scores: Scores) -> tuple[str, str]:
    """What rows are, and why, by their sums over classes."""
    if scores.key == "probs":
        logs = first.exp()
        if (first <= 0).all() and rounding_of(logs, ("float32",)).sums_to_one(logs).all():
            return "logits", "rows are logarithms of probabilities"
        return "probs", ""
    between = bool(((first >= 0) & (first <= 1)).all())
    if scores.key == "logits" and not between:
        return "logits", ""
    fraction = float(rounding_of(first, scores.dtypes).sums_to_one(first).double().mean())
    if scores.key == "logits":
        return ("probs" if fraction == 1 else "logits"), "rows are at least 0 and sum to one"
    if between and fraction < 0.5:
        raise ValueError(
            f"{scores.path}: all scores lie in 0..1, but {1 - fraction:.0%} of the first rows do "
            "not sum to one; save them with the name logits or probs"
        )
    return ("probs", "rows sum to one") if fraction >= 0.5 else ("logits", "rows do not sum to one")


def _single_kind(first: Float[Tensor, "members rows 1"], scores: Scores) -> tuple[str, str]:
    """What the single outputs of a binary classifier are, and why."""
    if scores.key != "scores":
        return scores.key, ""
    if ((first >= 0) & (first <= 1)).all():
        return "probs", "they lie in 0..1"
    if (first % 1 == 0).all():
        raise ValueError(
            f"{scores.path}: scores are whole numbers; are they class ids? Then save integers with "
            "the name votes"
        )
    return "logits", "they do not lie in 0..1"


def _hard_as_votes(scores: Scores) -> Scores:
    """Votes in place of probabilities that are all exactly 0 or 1, also of infinite logits."""
    if not all(is_hard(scores.take(rows), scores.key) for rows in scores.blocks()):
        return scores
    note = f"{scores.key}: all probabilities are exactly 0 or 1, so they are read as votes"
    return replace(
        scores,
        key="votes",
        kept=None,
        shape=scores.shape[:2],
        dtypes=("int64",),
        take=lambda rows: scores.take(rows).argmax(dim=-1),
        num_classes=scores.shape[2],
        notes=(*scores.notes, note),
    )


def _with_both_classes(scores: Scores) -> Scores:
    """Adds class 0 to the single output of a binary classifier: 1 - p, or a logit of zero."""
    probs = scores.key == "probs"

    def take(rows: Rows) -> Num[Tensor, "members rows 2"]:
        one = scores.take(rows).double()
        return torch.cat([1 - one if probs else torch.zeros_like(one), one], dim=-1)

    what = "(1 - p, p)" if probs else "(0, z)"
    return replace(
        scores,
        shape=(*scores.shape[:2], 2),
        take=take,
        notes=(*scores.notes, f"{scores.key}: the single output of class 1 is read as {what}"),
    )


def _with_classes_that_occur(scores: Scores) -> Scores:
    """Numbers votes for ids in the thousands and up, so that only those that occur are classes."""
    votes, labels = scores.take(slice(None)).numpy(), scores.labels
    if votes.min() < 0 or votes.max() < MANY_CLASSES or "class_names" in scores.shown:
        return scores
    known = labels if labels is not None and labels.dtype.kind in "iu" else votes[0]
    ids = np.union1d(votes, known[known >= 0])
    if labels is not None and labels.dtype.kind in "iu":
        labels = np.where(labels < 0, labels, np.searchsorted(ids, labels))
    said = f"votes: ids up to {ids[-1]}; the {len(ids)} that occur are the classes"
    return replace(
        scores,
        take=lambda rows: torch.from_numpy(np.searchsorted(ids, votes[:, rows])),
        labels=labels,
        shown={**scores.shown, "class_names": ids.astype(str)},
        notes=(*scores.notes, said),
    )
