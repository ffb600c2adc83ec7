"""An analysis as files: summary.json, samples.csv, figures/ and one report.html."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from matplotlib.figure import Figure
from rich.console import Console
from torch import Tensor

from bvalign.analysis.design import Selection
from bvalign.analysis.slopes import ESTIMATORS
from bvalign.analysis.summary import Analysis, analyze
from bvalign.analysis.unlabelled import UnlabelledAnalysis, analyze_unlabelled
from bvalign.predictions import Predictions, open_predictions
from bvalign.show import figures, unlabelled
from bvalign.show.draw_members import draw_members
from bvalign.show.files import write_files
from bvalign.show.fits import fitted_lines
from bvalign.show.main_numbers import print_main_numbers
from bvalign.show.progress import progress
from bvalign.show.report_page import page
from bvalign.show.scatter import Panel, alignment_scatter
from bvalign.show.tables import samples_csv, summarise

SHARE = (("RANK", "0"), ("WORLD_SIZE", "1"))
"""Which share of the samples is this process's; torchrun sets both."""


def analyze_and_report(
    source: Path | str,
    out: Path | str,
    selection: Selection = "same",
    share: tuple[int, int] | None = None,
) -> Analysis | UnlabelledAnalysis:
    """Analyses what `open_predictions` reads, writes the report, prints the main numbers.

    Args:
        source: what `open_predictions` takes.
        out: folder of the report.
        selection: which samples count as correct in the fits.
        share: this process's number and how many there are; from torchrun by default.

    Raises:
        ValueError: the predictions cannot be read, are fewer than the processes, or have no labels
            to select by.
    """
    predictions, origin = open_predictions(source)
    labelled = predictions.target is not None
    if not labelled and selection != "same":
        raise ValueError(
            f"--selection is by correctness and needs labels, got {selection} and predictions "
            "without; leave it out"
        )
    rank, world = share or (int(os.environ.get(name, default)) for name, default in SHARE)
    if world > predictions.num_samples:
        raise ValueError(
            f"{world} processes cannot share {predictions.num_samples} samples; start fewer"
        )
    analysis = _analyze_share(predictions, selection, rank, world)
    if rank == 0:
        write = write_report if labelled else unlabelled.write_report
        write(analysis, predictions, origin, Path(out))
        print_main_numbers(analysis) if labelled else print(unlabelled.main_numbers(analysis))
        print(f"report: {Path(out) / 'report.html'}")
    return analysis


def _analyze_share(
    predictions: Predictions, selection: Selection, rank: int, world: int
) -> Analysis | UnlabelledAnalysis:
    """Analyses this process's share of the samples, joined with those of the others."""
    start, stop = (predictions.num_samples * part // world for part in (rank, rank + 1))
    inputs = (
        _with_progress(predictions, start, stop, shown=rank == 0),
        torch.from_numpy(predictions.index),
        len(predictions.members),
        predictions.notes,
    )
    with _process_group(world) as reduce:
        if predictions.target is None:
            return analyze_unlabelled(*inputs, first=start, reduce=reduce)
        weights = predictions.weights
        return analyze(*inputs, selection, weights=weights, first=start, reduce=reduce)


@contextmanager
def _process_group(world: int) -> Iterator[Callable[[Tensor], object]]:
    """What adds an array up over the processes that torchrun started; nothing for a single one."""
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


def write_report(
    analysis: Analysis, predictions: Predictions, origin: dict[str, object], out: Path
) -> None:
    """Writes all files of the report.

    Args:
        analysis: of `predictions`.
        predictions: for class names and images.
        origin: how the predictions were made; goes to `summary.json`.
        out: a folder, made if missing.
    """
    summary = summarise(analysis, predictions, origin)

    def html(images: dict[str, bytes]) -> str:
        return page(analysis, predictions, summary, images)

    write_files(out, summary, samples_csv(analysis), draw(analysis), html)


def draw(analysis: Analysis) -> dict[str, Figure]:
    """The figures of the report, by file name."""
    d = {key: value.numpy() for key, value in analysis.decomposition._asdict().items()}
    plug_in = Panel("plug-in", d["bias_sq"], d["variance"])
    panels = [plug_in._replace(lines=fitted_lines(analysis, ("cross_half", "ols")))]
    if analysis.num_members > 1:
        lines = fitted_lines(analysis, ("cross_half", "ols_unbiased"))
        panels.append(Panel("unbiased", d["bias_sq_unbiased"], d["variance_unbiased"], lines))
    space = {"num_members": analysis.num_members, "num_classes": analysis.num_classes}
    size = {"num_members": analysis.num_members, "num_samples": analysis.num_samples}
    drawn = {
        "alignment_log": alignment_scatter(panels, d["correct"], **space),
        "alignment_linear": alignment_scatter([plug_in], d["correct"], **space, log=False),
    }
    if analysis.num_members > 1:
        drawn |= _slope_over_members(analysis)
        ratio = analysis.decomposition.variance / analysis.decomposition.bias_sq
        drawn["ratio"] = figures.ratio_histogram(
            ratio.numpy(), d["correct"], num_members=analysis.num_members
        )
        drawn |= draw_members(analysis)
    if analysis.collapse.noise is not None:
        drawn["collapse"] = figures.collapse(analysis.collapse, **size)
    drawn["reliability"] = figures.reliability(analysis.calibration.reliability, **size)
    return drawn


def _slope_over_members(analysis: Analysis) -> dict[str, Figure]:
    """The figure, where any estimator has a slope."""
    curves: dict[str, list[tuple[int, float, float | None]]] = {}
    for row in analysis.alignment.curve:
        if row["number"] == "slope" and ESTIMATORS[row["estimator"]].drawn:
            point = (row["members"], row["mean"], row["spread"])
            curves.setdefault(row["estimator"], []).append(point)
    estimators = analysis.alignment.estimators
    final = {name: estimators[name]["slope"].interval for name in curves}
    final = {name: interval for name, interval in final.items() if interval}
    if not curves:
        return {}
    drawn = figures.slope_over_members(curves, num_samples=analysis.num_samples, final=final)
    return {"slope_over_members": drawn}


def _with_progress(
    predictions: Predictions, start: int, stop: int, *, shown: bool
) -> Iterator[tuple[Tensor, Tensor | None]]:
    with progress(Console(file=sys.stderr, quiet=not shown)) as bar:
        what = "variance" if predictions.target is None else "bias and variance"
        task = bar.add_task(what, total=stop - start)
        for logits, target in predictions.blocks(start, stop):
            yield logits, target
            bar.advance(task, logits.shape[1])
