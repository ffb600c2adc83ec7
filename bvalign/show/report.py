"""An analysis as files: summary.json, samples.csv, figures/*.png and one report.html."""

import json
import math
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
from bvalign.analysis.summary import Analysis, analyze
from bvalign.predictions import Predictions, open_predictions
from bvalign.predictions.run_directory import write_atomic
from bvalign.show import figures
from bvalign.show.draw_members import draw_members
from bvalign.show.files import save_figure
from bvalign.show.fits import fitted_lines
from bvalign.show.page import page
from bvalign.show.progress import progress
from bvalign.show.scatter import Panel, alignment_scatter
from bvalign.show.tables import samples_csv, summarise

CURVES = ("cross_half", "split_half", "ols", "ols_unbiased")
"""Estimators drawn over the number of members."""

SHARE = (("RANK", "0"), ("WORLD_SIZE", "1"))
"""Which share of the samples is this process's; torchrun sets both."""


def analyze_and_report(
    source: Path | str, out: Path | str, selection: Selection = "same"
) -> Analysis:
    """Analyses what `open_predictions` reads, writes the report, prints the main numbers."""
    predictions, origin = open_predictions(source)
    rank, world = (int(os.environ.get(name, default)) for name, default in SHARE)
    num_samples = len(predictions.target)
    if world > num_samples:
        raise ValueError(f"{world} processes cannot share {num_samples} samples; start fewer")
    start, stop = num_samples * rank // world, num_samples * (rank + 1) // world
    with _process_group(world) as reduce:
        analysis = analyze(
            _with_progress(predictions, start, stop, shown=rank == 0),
            torch.from_numpy(predictions.index),
            len(predictions.members),
            predictions.notes,
            selection=selection,
            first=start,
            reduce=reduce,
        )
    if rank == 0:
        write_report(analysis, predictions, origin, Path(out))
        print(main_numbers(analysis))
        print(f"report: {Path(out) / 'report.html'}")
    return analysis


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
    (out / "figures").mkdir(parents=True, exist_ok=True)
    summary = summarise(analysis, predictions, origin)
    write_atomic(out / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    write_atomic(out / "samples.csv", samples_csv(analysis).encode())
    images = {}
    for name, figure in draw(analysis).items():
        images[name] = save_figure(figure, out / "figures" / name)
    html = page(analysis, predictions, summary, images)
    write_atomic(out / "report.html", html.encode())


def draw(analysis: Analysis) -> dict[str, Figure]:
    """The figures of the report, by file name."""
    d = {key: value.numpy() for key, value in analysis.decomposition._asdict().items()}
    plug_in = Panel("plug-in", d["bias_sq"], d["variance"])
    panels = [plug_in._replace(lines=fitted_lines(analysis, ("cross_half", "ols")))]
    if analysis.num_members > 1:
        lines = fitted_lines(analysis, ("cross_half", "ols_unbiased"))
        panels.append(Panel("unbiased", d["bias_sq_unbiased"], d["variance_unbiased"], lines))
    size = {"num_members": analysis.num_members, "num_classes": analysis.num_classes}
    drawn = {
        "alignment_log": alignment_scatter(panels, d["correct"], **size),
        "alignment_linear": alignment_scatter([plug_in], d["correct"], **size, log=False),
    }
    if analysis.num_members > 1:
        drawn |= _slope_over_members(analysis)
        ratio = d["variance"] / d["bias_sq"]
        drawn["ratio"] = figures.ratio_histogram(
            ratio, d["correct"], num_members=analysis.num_members
        )
        drawn |= draw_members(analysis)
    if analysis.collapse.noise is not None:
        drawn["collapse"] = figures.collapse(analysis.collapse, num_members=analysis.num_members)
    drawn["reliability"] = figures.reliability(
        analysis.calibration.reliability,
        num_samples=analysis.num_samples,
        num_members=analysis.num_members,
    )
    return drawn


def _slope_over_members(analysis: Analysis) -> dict[str, Figure]:
    """The figure, where any estimator has a slope."""
    curves: dict[str, list[tuple[int, float, float | None]]] = {}
    for row in analysis.alignment.curve:
        if row["number"] == "slope" and row["estimator"] in CURVES:
            point = (row["members"], row["mean"], row["spread"])
            curves.setdefault(row["estimator"], []).append(point)
    estimators = analysis.alignment.estimators
    final = {name: estimators[name]["slope"].interval for name in curves}
    final = {name: interval for name, interval in final.items() if interval}
    if not curves:
        return {}
    drawn = figures.slope_over_members(curves, num_samples=analysis.num_samples, final=final)
    return {"slope_over_members": drawn}


def main_numbers(analysis: Analysis) -> str:
    """The few lines that a reader needs, in words."""
    means, accuracy = analysis.means(), analysis.member_accuracy
    ensemble = float(analysis.decomposition.correct.double().mean())
    lines = [
        f"{analysis.num_members} members on {analysis.num_samples} samples: accuracy of a member "
        f"{float(accuracy.mean()):.4f}, of the ensemble {ensemble:.4f}"
    ]
    if analysis.num_members == 1:
        lines.append("one member has no variance: means and accuracy only")
    bias_sq, variance, risk = (means[k] for k in ("bias_sq", "variance", "risk"))
    share = variance["value"] / risk["value"] if risk["value"] else math.nan
    lines.append(
        f"mean squared bias {_with_error(bias_sq)}, variance {_with_error(variance)} "
        f"({share:.0%} of the risk {_with_error(risk)})"
    )
    for name in ("cross_half", "ols"):
        estimate = analysis.alignment.estimators[name]["slope"]
        if estimate.value is None:
            lines.append(f"slope {name}: none ({estimate.reason})")
            continue
        interval = estimate.interval or estimate.interval_samples
        low, high = (f"{end:.3f}" for end in interval)
        lines.append(
            f"slope {name}: {estimate.value:.3f}, 95% [{low}, {high}], over "
            f"{analysis.alignment.num_correct} correct samples"
        )
    return "\n".join([*lines, *(f"note: {note}" for note in analysis.notes)])


def _with_error(mean: dict[str, float | None]) -> str:
    error = mean["standard_error"]
    return f"{mean['value']:.4g}" + ("" if error is None else f" ± {error:.2g}")


def _with_progress(
    predictions: Predictions, start: int, stop: int, *, shown: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    with progress(Console(file=sys.stderr, quiet=not shown)) as bar:
        task = bar.add_task("bias and variance", total=stop - start)
        for logits, target in predictions.blocks(start, stop):
            yield logits, target
            bar.advance(task, len(target))
