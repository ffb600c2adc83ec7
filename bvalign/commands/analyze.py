"""`bvalign.analyze`: the analysis of predictions from a path or already opened."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from bvalign.analysis.collect import Block
from bvalign.analysis.slopes import Selection
from bvalign.analysis.summary import Analysis, analyze_blocks
from bvalign.analysis.unlabelled import UnlabelledAnalysis, analyze_unlabelled_blocks
from bvalign.predictions import Predictions, open_predictions
from bvalign.show.progress_bar import progress

ALONE = (0, 1)
"""Rank and world size of a process that works alone."""


def analyze(
    source: Path | str | Predictions,
    selection: Selection = "same",
    *,
    clusters: Path | str | None = None,
) -> Analysis | UnlabelledAnalysis:
    """Analyses the predictions of an ensemble, with labels or without.

    The result prints as its main numbers; `result["variance"]` is a column of samples.csv as an
    array (samples), `dict(result)` has all of them.

    Args:
        source: a file or folder as for `bvalign analyze`, or opened predictions.
        selection: of correct samples for the fits: by the members whose values are fitted
            ("same"), by other members ("other"), or by bias_sq_unbiased < 0.1 ("threshold").
        clusters: file with the cluster of each sample, as for `open_predictions`.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: the predictions cannot be read, a selection needs labels that are missing, or
            clusters are given for opened predictions.
    """
    if not isinstance(source, Predictions):
        return analyze_predictions(open_predictions(source, clusters=clusters)[0], selection)
    if clusters is not None:
        raise ValueError(
            f"clusters must be given where predictions are opened, got {clusters} for opened ones; "
            "use open_predictions(source, clusters=...)"
        )
    return analyze_predictions(source, selection)


def analyze_predictions(
    predictions: Predictions, selection: Selection = "same", place: tuple[int, int] = ALONE
) -> Analysis | UnlabelledAnalysis:
    """Analyses this process's part of the samples and combines it with those of the others.

    Args:
        predictions: all of them, in every process.
        selection: of correct samples for the fits.
        place: rank of this process and number of processes.

    Raises:
        ValueError: there are fewer samples than processes, or a selection lacks labels.
    """
    labelled, (rank, world) = predictions.target is not None, place
    if not labelled and selection != "same":
        raise ValueError(
            f"--selection is by correctness and needs labels, got {selection} and predictions "
            "without; leave it out"
        )
    if world > predictions.num_samples:
        raise ValueError(
            f"{world} processes cannot share {predictions.num_samples} samples; start fewer"
        )
    start, stop = (predictions.num_samples * part // world for part in (rank, rank + 1))
    blocks = _with_progress(predictions, start, stop, shown=rank == 0)
    index, members = torch.from_numpy(predictions.index), len(predictions.members)
    with _process_group(world) as reduce:
        joined = {"first": start, "reduce": reduce}
        if not labelled:
            joined["num_classes"] = predictions.num_classes
            return analyze_unlabelled_blocks(blocks, index, members, predictions.notes, **joined)
        joined["member_weights"] = predictions.weights
        return analyze_blocks(blocks, index, members, predictions.notes, selection, **joined)


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


def _with_progress(
    predictions: Predictions, start: int, stop: int, *, shown: bool
) -> Iterator[Block]:
    with progress(Console(file=sys.stderr, quiet=not shown)) as bar:
        task = bar.add_task("analyze", total=stop - start)
        for logits, target in predictions.blocks(start, stop):
            yield logits, target
            bar.advance(task, logits.shape[1])
