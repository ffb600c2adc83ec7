"""`bvalign.analyze`: the analysis of predictions of any kind."""

import sys
from collections.abc import Callable, Iterator, Mapping
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
from bvalign.commands.result import Result, UnlabelledResult, result_of
from bvalign.commands.sources import with_sources
from bvalign.decisions import Options
from bvalign.predictions import Names, Predictions, open_predictions
from bvalign.show.progress_bar import progress

SUM_TOLERANCE = 1e-6
"""Rounding of the sum of a soft label over the classes."""

ALONE = (0, 1)
"""Rank and world size of a process that works alone."""


def analyze(
    source: object,
    labels: object = None,
    *,
    clusters: Path | str | None = None,
    groups: object = None,
    member: str | None = None,
    sample: str | None = None,
    label: str | None = None,
    scores: str | None = None,
    votes: str | None = None,
    task: str | None = None,
    split: str | None = None,
    targets: Mapping[str, float] | None = None,
    max_error: float | None = None,
    confidence: float = 0.95,
    sources: object = None,
) -> Result | UnlabelledResult:
    """Analyses the predictions of an ensemble, with labels or without.

    The result prints as its main numbers. `result["variance"]` is a column of samples.csv as an
    array (samples), `result.samples` a dict of all; `result.report("out/")` writes the report and
    `result.plot()` gives the alignment scatter.

    Scores are logits, probabilities, or votes (class ids or names): the values tell which, and a
    note of the result says it. With K classes and N samples, `source` is one of

    - a path, as for `bvalign analyze`, or opened `Predictions`;
    - an array of NumPy or a tensor of any device (members, N, K), votes (members, N), or the single
      outputs of a binary classifier (members, N, 1);
    - a list of members, each (N, K) or (N), such as results of `predict_proba` or `predict`, or a
      DataFrame, or a list of batches;
    - a dict of named arrays as in a `.npz`, `{"logits": ..., "labels": ...}`, or of members;
    - a DataFrame of pandas or polars: a row for each member and sample, or a row for each sample of
      one member or with a column of votes for each member.

    Args:
        source: the predictions.
        labels: class ids or names (N), as an array, a tensor, a list or a Series, for a source in
            memory that does not contain them; of a DataFrame one for each of its rows. Rows count
            by position: the index of a Series is ignored.
        clusters: file with the cluster of each sample, as for `open_predictions`.
        groups: subgroups of the samples to compare, as for `open_predictions`: a file, one column
            as an array, a list or a Series, or a dict or DataFrame of columns.
        member: column that tells members apart; this and the following are guessed by default.
        sample: column of sample ids.
        label: column or array of labels.
        scores: pattern of the columns of scores, one per class, such as `prob_*`, or name of an
            array.
        votes: pattern of the columns of votes, one per member, or name of an array.
        task: the label to analyse where samples have several that are each true or false.
        split: of a run directory: `test`, the default, or `train`, which judges each training
            sample by members that were not trained on it, see docs/predictions.md.
        targets: wanted values by name, such as {"risk": 0.1}.
        max_error: wanted error rate of accepted predictions; by default half of that of all.
        confidence: of guarantees.
        sources: labelled predictions of the same members, from which error rates and risk of
            samples without labels are estimated: a path or opened predictions, or several of them
            in a list, or a dict by name. The first is fitted on; the others tell how far the
            estimates may be off.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: the predictions cannot be read, or what is given beside them does not fit.
    """
    names = Names(member, sample, label, scores, votes, task, split)
    options = Options(targets or {}, max_error, confidence)
    if not isinstance(source, Predictions):
        given = {"clusters": clusters, "groups": groups, "names": names}
        predictions, origin = open_predictions(source, labels, **given)
        options = asked(options, (predictions, origin), sources, names)
        return result_of(analyze_predictions(predictions), predictions, origin, options)
    beside = {"labels": labels, "clusters": clusters, "groups": groups} | vars(names)
    given = [name for name, value in beside.items() if value is not None and value is not False]
    if given:
        raise ValueError(
            f"{', '.join(given)} must be given where predictions are opened, got opened ones; use "
            "open_predictions(source, ...)"
        )
    origin = {"source": "opened predictions"}
    options = asked(options, (source, origin), sources, names)
    return result_of(analyze_predictions(source), source, origin, options)


def asked(
    options: Options,
    opened: tuple[Predictions, dict[str, object]],
    sources: object,
    names: Names,
) -> Options:
    """Adds what the predictions say of their samples, and labelled ones beside them.

    Args:
        options: what is asked.
        opened: predictions to analyse, and where they come from.
        sources: see `with_sources`.
        names: of columns or arrays.
    """
    predictions, origin = opened
    options = options.of(predictions, origin)
    if predictions.unlabelled is not None:
        options = replace(options, rest=analyze_predictions(predictions.unlabelled))
    return with_sources(options, predictions, sources, names)


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
    clusters, num_options, num_unseen = (
        None if values is None else torch.from_numpy(values)
        for values in (predictions.clusters, predictions.num_options, predictions.num_unseen)
    )
    index, weights = torch.from_numpy(predictions.index), predictions.weights
    given = Given(index, predictions.notes, clusters, weights, num_options, num_unseen)
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
