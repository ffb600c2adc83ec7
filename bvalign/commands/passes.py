"""The pass over predictions, with its progress, and what identifies its pieces."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from bvalign import __version__
from bvalign.analysis.collect import Range
from bvalign.analysis.given import Given
from bvalign.analysis.labelled import LabelledPass
from bvalign.analysis.passes import Cut, Pass
from bvalign.analysis.pieces import NOWHERE, Pieces
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis, UnlabelledPass
from bvalign.predictions import Predictions, source_files
from bvalign.show.progress_bar import progress

SUM_TOLERANCE = 1e-6
"""Rounding of the sum of a soft label over the classes."""

LOOKED_AT = 16
"""Ranges whose logits are part of the identity, beside size and time of the files."""


def analyze_predictions(
    predictions: Predictions,
    pieces: Pieces = NOWHERE,
) -> Analysis | UnlabelledAnalysis:
    """Analyses predictions, with a bar.

    Args:
        predictions: with labels or without.
        pieces: where finished pieces are kept.

    Raises:
        ValueError: soft labels do not sum to one, or the target is not their most probable class.
    """
    with begin(predictions, pieces) as run:
        return run.finish()


@contextmanager
def begin(
    predictions: Predictions,
    pieces: Pieces = NOWHERE,
    share: range | None = None,
    *,
    shown: bool = True,
) -> Iterator[Pass]:
    """Begins a pass; its bar ends with the block.

    Args:
        predictions: with labels or without.
        pieces: where finished pieces are kept.
        share: numbers of the pieces that will be computed; None for all.
        shown: whether the bar is.

    Raises:
        ValueError: as for `analyze_predictions`.
        KeyboardInterrupt: says what is kept.
    """
    if predictions.soft_labels is not None:
        predictions = _with_checked_labels(predictions)
    with progress(Console(file=sys.stderr, quiet=not shown)) as bar:
        task = bar.add_task("analyze", total=None)
        run = of_predictions(predictions, pieces, lambda number: bar.advance(task, number))
        left_out = set(range(run.cut.num_pieces)) - set(share) if share is not None else ()
        others = sum(len(run.cut.ranges(piece)) for piece in left_out)
        bar.update(task, total=run.num_ranges - others)
        try:
            yield run
        except KeyboardInterrupt:
            kept = f"finished pieces are kept in {pieces.folder}; the same command continues"
            raise KeyboardInterrupt(kept if pieces.folder else "") from None


def of_predictions(
    predictions: Predictions, pieces: Pieces, done: Callable[[int], object] = lambda _: None
) -> Pass:
    """Makes the pass of predictions; arguments as for `Cut` and `Pass`."""
    clusters, num_options, num_unseen = (
        None if values is None else torch.from_numpy(values)
        for values in (predictions.clusters, predictions.num_options, predictions.num_unseen)
    )
    index, weights = torch.from_numpy(predictions.index), predictions.weights
    kept = predictions.kept and predictions.kept(0, 1).logits.shape[-1]
    given = Given(index, predictions.notes, clusters, weights, num_options, num_unseen, kept)
    shape = (len(predictions.members), predictions.num_samples, predictions.num_classes)
    cut = Cut(partial(_range, predictions), shape, predictions.samples_per_range, done)
    kind = UnlabelledPass if predictions.target is None else LabelledPass
    return kind(cut, given, pieces)


def identity_of(predictions: Predictions, source: Path | str) -> str:
    """Hashes what determines the pieces of predictions.

    Args:
        predictions: opened.
        source: their path, of whose files size and time of change count.
    """
    cut = of_predictions(predictions, NOWHERE).cut
    files = [(file.name, status.st_size, status.st_mtime_ns)
             for file in source_files(source) for status in [file.stat()]]  # fmt: skip
    about = [__version__, cut.shape, cut.range_size, len(cut.ranges(0)), files]
    digest = hashlib.sha256(json.dumps([*about, predictions.members, predictions.weights]).encode())
    for name in ("index", "target", "clusters", "num_options", "soft_labels", "answers"):
        values = getattr(predictions, name)
        digest.update(name.encode() if values is None else np.ascontiguousarray(values))
    number = predictions.num_ranges
    for place in sorted({number * part // LOOKED_AT for part in range(LOOKED_AT)}):
        logits = predictions.range(place)[1].contiguous()
        digest.update(logits.view(torch.uint8).numpy())
    return digest.hexdigest()


def _with_checked_labels(predictions: Predictions) -> Predictions:
    """Checks soft labels; where all are one-hot they are class ids, of which more is known."""
    soft = predictions.soft_labels
    wrong = ~(np.abs(soft.sum(axis=1) - 1) < SUM_TOLERANCE) | (soft < 0).any(axis=1)
    if wrong.any():
        raise ValueError(
            f"soft_labels must be at least 0 and sum to one in each row, but {int(wrong.sum())} of "
            f"{len(soft)} do not; divide them by soft_labels.sum(1, keepdims=True)"
        )
    other = int((soft.argmax(axis=1) != predictions.target).sum())
    if other:
        raise ValueError(
            f"target must be the most probable class of soft_labels, but {other} of {len(soft)} "
            "are not; give soft_labels.argmax(1)"
        )
    return replace(predictions, soft_labels=None) if (soft.max(axis=1) == 1).all() else predictions


def _range(predictions: Predictions, number: int) -> Range:
    start, logits, target = predictions.range(number)
    soft, answers = (
        None if values is None else torch.from_numpy(values[start : start + logits.shape[1]])
        for values in (predictions.soft_labels, predictions.answers)
    )
    top = predictions.kept and predictions.kept(start, start + logits.shape[1])
    return Range(start, logits, target, soft, answers, top)
