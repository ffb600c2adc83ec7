"""Writing of reports: each file completely or not at all."""

import io
import json
from pathlib import Path

from matplotlib.figure import Figure

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.atomic import write_atomic
from bvalign.predictions import Predictions
from bvalign.show.report import labelled, unlabelled
from bvalign.show.report.samples_csv import write_samples

FORMATS = {"png": {"dpi": 150}, "pdf": {"dpi": 200}}
"""Options of savefig; the dpi of PDF is that of its rasterized points."""


def write_report(
    analysis: Analysis | UnlabelledAnalysis,
    predictions: Predictions,
    origin: dict[str, object],
    out: Path,
    *,
    samples: bool = True,
) -> None:
    """Writes summary.json, samples.csv, figures/ and report.html.

    Args:
        analysis: of `predictions`.
        predictions: for class names, images and texts.
        origin: how the predictions were made, for summary.json.
        out: a folder, created if missing.
        samples: whether to write samples.csv; without, one of before is removed, as it would not
            belong to the other files.
    """
    report = unlabelled if isinstance(analysis, UnlabelledAnalysis) else labelled
    summary = report.summarise(analysis, predictions, origin)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    write_atomic(out / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    if samples:
        write_samples(out / "samples.csv", analysis.columns())
    else:
        (out / "samples.csv").unlink(missing_ok=True)
    images = {}
    for name, figure in report.plot(analysis).items():
        images[name] = save_figure(figure, out / "figures" / name)
    page = report.page(analysis, predictions, summary, images)
    write_atomic(out / "report.html", page.encode())


def save_figure(figure: Figure, path: Path) -> bytes:
    """Saves a figure as PNG for pages and PDF for papers; returns the PNG.

    Args:
        figure: its layout is fixed from now on.
        path: without a suffix.
    """
    if engine := figure.get_layout_engine():  # lays out once for all formats
        engine.execute(figure)
        figure.set_layout_engine(None)  # "none" would lay out again: 1.5 times the time
    contents = {}
    for kind, options in FORMATS.items():
        content = io.BytesIO()
        # without a date, the same numbers give the same file
        metadata = {"CreationDate": None} if kind == "pdf" else {}
        figure.savefig(content, format=kind, metadata=metadata, **options)
        contents[kind] = content.getvalue()
        write_atomic(path.with_suffix(f".{kind}"), contents[kind])
    return contents["png"]
