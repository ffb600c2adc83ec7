"""Writing of reports: each file completely or not at all."""

import json
from pathlib import Path
from types import MappingProxyType

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.atomic import write_atomic
from bvalign.decisions import Decisions
from bvalign.predictions import Predictions
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.svg import svg
from bvalign.show.report import labelled, unlabelled
from bvalign.show.report.decide import OF_DECISIONS, cards, charts
from bvalign.show.report.page.report import page
from bvalign.show.report.page.template import CHART
from bvalign.show.report.review.page import REVIEW, review_page
from bvalign.show.report.sample_files import KINDS, sample_files, write_samples
from bvalign.show.report.summary_json import how_it_was_made, plain

CHART_WIDTH = 4.4
"""Inches of the chart of a card, several of which stand side by side."""


def write_report(
    analysis: Analysis | UnlabelledAnalysis,
    predictions: Predictions,
    origin: dict[str, object],
    out: Path,
    *,
    decisions: Decisions = MappingProxyType({}),
    samples: str | None = None,
) -> None:
    """Writes summary.json, the samples, report.html and, for doubtful labels, REVIEW.

    Args:
        analysis: of `predictions`.
        predictions: for class names, images and texts.
        origin: how the predictions were made, for summary.json.
        out: a folder, created if missing.
        decisions: what the analysis answers.
        samples: as for `sample_files`; one of before that is not written is removed, as it would
            not belong to the other files.

    Raises:
        ValueError: there is no such kind of `samples`.
    """
    of_samples = sample_files(samples, analysis.num_samples)
    report = unlabelled if isinstance(analysis, UnlabelledAnalysis) else labelled
    summary = report.summarise(analysis, predictions, origin)
    summary["decisions"] = cards(decisions)
    if answer := decisions.get("without_labels"):
        summary["without_labels"] = plain(answer.numbers())
    columns, files = analysis.columns(), {}
    for decision in decisions.values():
        columns |= decision.columns()
        files |= decision.files()
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    for name in KINDS["both"]:
        if name in of_samples:
            write_samples(out / name, columns, predictions.sample_names)
        else:
            (out / name).unlink(missing_ok=True)
    made = how_it_was_made(predictions, origin)
    for name, content in files.items():
        write_atomic(out / name, (json.dumps(plain(content) | made, indent=1) + "\n").encode())
    for name in OF_DECISIONS - files.keys():  # one of before is not of these predictions
        (out / name).unlink(missing_ok=True)
    plots = report.plot(analysis) | charts(decisions, analysis.num_samples, analysis.num_members)
    captions = {name: plot.caption for name, plot in plots.items()}
    beside = ["summary.json", *of_samples, *files]
    labels = decisions.get("wrong_labels")
    if labels is not None and len(labels.suspicious()):
        write_atomic(out / REVIEW, review_page(labels, analysis, predictions, summary))
        beside.append(REVIEW)
    else:
        (out / REVIEW).unlink(missing_ok=True)
    about = {"decisions": decisions, "files": beside}
    html = page(analysis, predictions, summary, draw(plots), captions, **about)
    write_atomic(out / "report.html", html)


def draw(plots: dict[str, Plot]) -> dict[str, str]:
    """Draws the figures of a page, by name."""
    return {
        name: svg(plot, name, CHART_WIDTH if name.startswith(CHART) else None)
        for name, plot in plots.items()
    }
