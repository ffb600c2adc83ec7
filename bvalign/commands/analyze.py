"""`bvalign.analyze`: the analysis of predictions from a path or already opened."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from bvalign.analysis.collect import NO_OWN, Range
from bvalign.analysis.given import Given
from bvalign.analysis.labelled import analyze_blocks
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis, analyze_unlabelled_blocks
from bvalign.predictions import Predictions, open_predictions
from bvalign.show.progress_bar import progress

SUM_TOLERANCE = 1e-6
"""Rounding of the sum of a soft label over the classes."""

ALONE = (0, 1)
"""Rank and world size of a process that works alone."""


def analyze(
    source: Path | str | Predictions, *, clusters: Path | str | None = None
) -> Analysis | UnlabelledAnalysis:
    """Analyses the predictions of an ensemble, with labels or without.

    The result prints as its main numbers; `result["variance"]` is a column of samples.csv as an
    array (samples), `dict(result)` has all of them.

    Args:
        source: a file or folder as for `bvalign analyze`, or opened predictions.
        clusters: file with the cluster of each sample, as for `open_predictions`.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: the predictions cannot be read, or clusters are given for opened predictions.
    """
    if not isinstance(source, Predictions):
        return analyze_predictions(open_predictions(source, clusters=clusters)[0])
    if clusters is not None:
        raise ValueError(
            f"clusters must be given where predictions are opened, got {clusters} for opened ones; "
            "use open_predictions(source, clusters=...)"
        )
    return analyze_predictions(source)


def analyze_predictions(
    predictions: Predictions, place: tuple[int, int] = ALONE
) -> Analysis | UnlabelledAnalysis:
    """Analyses this process's part of the samples and combines it with those of the others.

    Args:
        predictions: all of them, in every process.
        place: rank of this process and number of processes.

    Raises:
        ValueError: soft labels do not sum to one, or the target is not their most probable class.
    """
    if predictions.soft_labels is not None:
        predictions = _with_checked_labels(predictions)
    (rank, world), total = place, predictions.num_ranges
    mine = range(total * rank // world, total * (rank + 1) // world)
    clusters = None if predictions.clusters is None else torch.from_numpy(predictions.clusters)
    given = Given(
        torch.from_numpy(predictions.index), predictions.notes, clusters, predictions.weights
    )
    shape = (len(predictions.members), predictions.num_samples, predictions.num_classes)
    labelled = predictions.target is not None
    with (
        _process_group(world) as reduce,
        _progress(predictions, mine, shown=rank == 0, passes=1 + labelled) as ranges,
    ):
        run = analyze_blocks if labelled else analyze_unlabelled_blocks
        return run(ranges, shape, given, total, reduce)


@contextmanager
def _process_group(world: int) -> Iterator[Callable[[Tensor], object]]:
    """Yields a function that sums an array over the processes of torchrun; idle in a single one."""
    if world == 1:
        yield lambda _: None
        return
    torch.distributed.init_process_group("gloo")
    try:
        yield lambda array: torch.distributed.all_reduce(
            array.view(torch.uint8) if array.dtype == torch.bool else array
        )
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def _progress(
    predictions: Predictions, mine: range, *, shown: bool, passes: int
) -> Iterator[Callable[[], Iterator[Range]]]:
    """Yields a function that reads the ranges once more, with a bar over all passes."""
    with progress(Console(file=sys.stderr, quiet=not shown)) as bar:
        task = bar.add_task("analyze", total=passes * len(mine))

        def ranges() -> Iterator[Range]:
            for number in mine:
                yield _range(predictions, number)
                bar.advance(task)
            if not mine:  # more processes than ranges: the others do the work
                yield _range(predictions, 0)._replace(number=NO_OWN)

        yield ranges


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
    return Range(number, start, logits, target, soft, answers)
