"""Samples with different numbers of classes, such as questions with three to five options.

A sample has the first `num_options` classes. The scores of the others are minus infinity, their
probability zero, so that whatever goes by sample is that of the classes that it has.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int64

from bvalign.predictions.scores.scores import Scores


def with_options(scores: Scores) -> Scores:
    """Checks the numbers of classes, and takes off classes that no sample has.

    Args:
        scores: as a reader found them.

    Raises:
        ValueError: the numbers are not such, or a class beyond them has a score.
    """
    if scores.num_options is None:
        return scores
    number, path, most = scores.num_options, scores.path, scores.shape[2:] or (np.inf,)
    if (
        number.dtype.kind not in "iu"
        or number.shape != scores.shape[1:2]
        or not 2 <= number.min() <= number.max() <= most[0]
    ):
        raise ValueError(
            f"{path}: 'num_options' must be {scores.shape[1]} integers from 2 to {most[0]}, got "
            f"{number.dtype} {number.shape} from {number.min()} to {number.max()}"
        )
    number = number.astype(np.int64)
    for rows in scores.blocks():
        _check_excluded(scores, rows, number[rows])
    most = int(number.max())
    classes = scores.shown.get("class_names")
    if scores.key != "votes" and most < scores.shape[2]:
        shown = {} if classes is None else {"class_names": classes[:most]}
        scores = replace(
            scores,
            shape=(*scores.shape[:2], most),
            take=lambda rows, take=scores.take: take(rows)[..., :most],
            shown={**scores.shown, **shown},
        )
    fewer = int((number < most).sum())
    if not fewer:
        return replace(scores, num_options=None)
    note = (
        f"{fewer} of {len(number)} samples have fewer than {most} classes ({number.min()} at "
        "least), so what compares classes across samples is left out: calibration errors by class "
        "and the model of neural collapse"
    )
    return replace(scores, num_options=number, num_classes=most, notes=(*scores.notes, note))


def check_options_of_labels(scores: Scores, labels: Int64[np.ndarray, " samples"] | None) -> None:
    """Checks that every label is a class of its sample.

    Raises:
        ValueError: one is not.
    """
    if scores.num_options is None or labels is None:
        return
    wrong = np.flatnonzero(labels >= scores.num_options)
    if len(wrong):
        row = wrong[0]
        raise ValueError(
            f"{scores.path}: labels must be classes of their samples, but {len(wrong)} are not; "
            f"the first is {labels[row]} at row {row}, which has {scores.num_options[row]} classes"
        )


def _check_excluded(scores: Scores, rows: slice, number: Int64[np.ndarray, " rows"]) -> None:
    """Checks that no class beyond those of a sample has a score, or a vote."""
    values, number = scores.take(rows), torch.from_numpy(number)
    if scores.key == "votes":
        wrong = values.long() >= number
    else:
        absent = torch.arange(values.shape[-1]) >= number.unsqueeze(-1)
        nothing = 0.0 if scores.key == "probs" else -torch.inf
        wrong = ((values != nothing) & absent).any(dim=-1)
    if wrong.any():
        row = int(torch.nonzero(wrong.any(dim=0))[0])
        raise ValueError(
            f"{scores.path}: classes beyond 'num_options' must have probability 0, logit -inf and "
            f"no votes, but row {rows.start + row} has {number[row]} classes and a score beyond"
        )
