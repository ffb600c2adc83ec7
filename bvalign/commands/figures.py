"""`bvalign figures`: the figures of a report or of a comparison for a paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.atomic import write_atomic
from bvalign.commands.analyze import asked
from bvalign.commands.passes import analyze_predictions
from bvalign.decisions import Options, decide
from bvalign.predictions import Names, open_predictions
from bvalign.show.figures import Plot
from bvalign.show.report import (
    compare_reports,
    comparison_figures,
    labelled,
    read_reports,
    unlabelled,
)
from bvalign.show.report.decide import charts
from bvalign.show.report.figure_files import chosen, write_figures
from bvalign.show.report.main_numbers import tables

FOLDER = "figures"
"""Folder of the figures, in a run directory or in the current one."""


def draw_figures(
    predictions: Sequence[Path | str],
    out: Path | None = None,
    *,
    only: Sequence[str] = (),
    style: str = "iclr",
    width: float | None = None,
    formats: Sequence[str] = ("pdf",),
    **reading: object,
) -> list[Path]:
    """Writes each figure with its caption and numbers, table.tex and main_numbers.csv.

    Args:
        predictions: one, as for `open_predictions`, or several reports to compare.
        out: a folder, created if missing; by default `figures` in a run directory or here.
        only: names of figures, or their beginnings; all by default.
        style: of a venue.
        width: inches.
        formats: of the figures.
        reading: clusters, groups, names, options and sources, as for `analyze_and_report`.

    Returns:
        The paths of the figures.

    Raises:
        ValueError: the predictions cannot be read, or there is no such figure.
    """
    if len(predictions) > 1:
        reports = read_reports([*map(Path, predictions)])
        plots, beside = comparison_figures(reports, compare_reports(reports)), {}
        folder = out or Path(FOLDER)
    else:
        plots, beside = _of_predictions(predictions[0], **reading)
        is_run = (Path(predictions[0]) / "run.json").exists()
        folder = out or (Path(predictions[0]) / FOLDER if is_run else Path(FOLDER))
    drawn = write_figures(chosen(plots, only), folder, style=style, width=width, formats=formats)
    for name, text in beside.items():
        write_atomic(folder / name, text.encode())
    print(f"figures: {', '.join(path.name for path in drawn)} in {folder}/, with captions (.txt) "
          "and numbers (.csv)")  # fmt: skip
    return drawn


def _of_predictions(
    source: Path | str,
    *,
    clusters: Path | None = None,
    groups: Path | None = None,
    names: Mapping[str, str] | None = None,
    options: Options = Options(),  # noqa: B008 (immutable)
    sources: object = None,
) -> tuple[dict[str, Plot], dict[str, str]]:
    """Describes the figures of one source, and its tables by file name."""
    named = Names(**names or {})
    predictions, origin = open_predictions(source, clusters=clusters, groups=groups, names=named)
    options = asked(options, (predictions, origin), sources, named)
    analysis = analyze_predictions(predictions)
    size = (analysis.num_samples, analysis.num_members)
    report = unlabelled if isinstance(analysis, UnlabelledAnalysis) else labelled
    plots = report.plot(analysis) | charts(decide(analysis, options), *size)
    return plots, tables(analysis)
