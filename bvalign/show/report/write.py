"""Writing of reports: each file completely or not at all."""

import io
import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.atomic import write_atomic
from bvalign.decisions import Decisions
from bvalign.predictions import Predictions
from bvalign.show.report import labelled, unlabelled
from bvalign.show.report.decide import OF_DECISIONS, cards, charts
from bvalign.show.report.review.page import REVIEW, review_page
from bvalign.show.report.samples_csv import write_samples
from bvalign.show.report.summary_json import how_it_was_made, plain

DPI = {"png": 150, "pdf": 200}
"""Dots per inch of each format; in a PDF those of its rasterized points."""


def write_report(
    analysis: Analysis | UnlabelledAnalysis,
    predictions: Predictions,
    origin: dict[str, object],
    out: Path,
    *,
    decisions: Decisions = MappingProxyType({}),
    samples: bool = True,
    pdf: bool = False,
) -> None:
    """Writes summary.json, samples.csv, figures/, report.html and, for doubtful labels, REVIEW.

    Args:
        analysis: of `predictions`.
        predictions: for class names, images and texts.
        origin: how the predictions were made, for summary.json.
        out: a folder, created if missing.
        decisions: what the analysis answers.
        samples: whether to write samples.csv; without, one of before is removed, as it would not
            belong to the other files.
        pdf: see `save_figure`.
    """
    report = unlabelled if isinstance(analysis, UnlabelledAnalysis) else labelled
    summary = report.summarise(analysis, predictions, origin)
    summary["decisions"] = cards(decisions)
    if answer := decisions.get("without_labels"):
        summary["without_labels"] = plain(answer.numbers())
    columns, files = analysis.columns(), {}
    for decision in decisions.values():
        columns |= decision.columns()
        files |= decision.files()
    (out / "figures").mkdir(parents=True, exist_ok=True)
    write_atomic(out / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    if samples:
        write_samples(out / "samples.csv", columns, predictions.sample_names)
    else:
        (out / "samples.csv").unlink(missing_ok=True)
    made = how_it_was_made(predictions, origin)
    for name, content in files.items():
        write_atomic(out / name, (json.dumps(plain(content) | made, indent=1) + "\n").encode())
    for name in OF_DECISIONS - files.keys():  # one of before is not of these predictions
        (out / name).unlink(missing_ok=True)
    images = {}
    for name, figure in (report.plot(analysis) | charts(decisions)).items():
        images[name] = save_figure(figure, out / "figures" / name, pdf=pdf)
    write_atomic(out / "report.html", report.page(analysis, predictions, summary, images))
    labels = decisions.get("wrong_labels")
    if labels is not None and len(labels.suspicious()):
        write_atomic(out / REVIEW, review_page(labels, analysis, predictions, summary))
    else:
        (out / REVIEW).unlink(missing_ok=True)


def save_figure(figure: Figure, path: Path, *, pdf: bool = False) -> bytes:
    """Saves a figure as PNG for pages; returns the PNG.

    Args:
        figure: its layout is fixed from now on.
        path: without a suffix.
        pdf: also as PDF for papers, which takes as long again. Without it, a PDF that an earlier
            report left there is removed, as it need not show the same numbers.
    """
    figure.set_dpi(DPI["png"])  # laid out and drawn at the same size, text is measured once
    if engine := figure.get_layout_engine():  # lays out once for all formats
        engine.execute(figure)
        figure.set_layout_engine(None)  # "none" would lay out again: 1.5 times the time
    png = _png(figure)
    write_atomic(path.with_suffix(".png"), png)
    if pdf:
        content = io.BytesIO()
        # without a date, the same numbers give the same file
        figure.savefig(content, format="pdf", dpi=DPI["pdf"], metadata={"CreationDate": None})
        write_atomic(path.with_suffix(".pdf"), content.getvalue())
    else:
        path.with_suffix(".pdf").unlink(missing_ok=True)
    return png


def _png(figure: Figure) -> bytes:
    """Draws a figure; without savefig's alpha channel the file is smaller and done in half."""
    canvas, content = FigureCanvasAgg(figure), io.BytesIO()
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    image.save(content, format="png", dpi=(DPI["png"],) * 2, compress_level=3)
    return content.getvalue()
