"""Writes the files of a report, each whole or not at all."""

import io
import json
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from bvalign.predictions.atomic import write_atomic


def write_files(
    out: Path,
    summary: dict[str, object],
    samples: str,
    figures: dict[str, Figure],
    html: Callable[[dict[str, bytes]], str],
) -> None:
    """Writes summary.json, samples.csv, figures/*.png and report.html.

    Args:
        out: a folder, made if missing.
        summary: content of summary.json.
        samples: text of samples.csv.
        figures: by file name.
        html: takes the figures as PNG by name and gives the text of report.html.
    """
    (out / "figures").mkdir(parents=True, exist_ok=True)
    write_atomic(out / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    write_atomic(out / "samples.csv", samples.encode())
    images = {}
    for name, figure in figures.items():
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=150)
        images[name] = content.getvalue()
        write_atomic(out / "figures" / f"{name}.png", images[name])
    write_atomic(out / "report.html", html(images).encode())
