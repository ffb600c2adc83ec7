"""Writes the files of a report, each whole or not at all."""

import io
import json
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from bvalign.atomic import write_atomic

FORMATS = {"png": {"dpi": 150}, "pdf": {"dpi": 200}}
"""Clouds of points are pictures in the vector format too, at this resolution."""


def write_files(
    out: Path,
    summary: dict[str, object],
    samples: str,
    figures: dict[str, Figure],
    html: Callable[[dict[str, bytes]], str],
) -> None:
    """Writes summary.json, samples.csv, figures/ and report.html.

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
        images[name] = save_figure(figure, out / "figures" / name)
    write_atomic(out / "report.html", html(images).encode())


def save_figure(figure: Figure, path: Path) -> bytes:
    """Writes a figure as PNG for pages, PDF for papers; returns the PNG.

    Args:
        figure: keeps its layout from now on.
        path: without its suffix.
    """
    if engine := figure.get_layout_engine():  # laid out once for all formats
        engine.execute(figure)
        figure.set_layout_engine(None)  # "none" draws before every format: 1.5 times the time
    contents = {}
    for kind, options in FORMATS.items():
        content = io.BytesIO()
        # without a date, the same numbers give the same file
        metadata = {"CreationDate": None} if kind == "pdf" else {}
        figure.savefig(content, format=kind, metadata=metadata, **options)
        contents[kind] = content.getvalue()
        write_atomic(path.with_suffix(f".{kind}"), contents[kind])
    return contents["png"]
