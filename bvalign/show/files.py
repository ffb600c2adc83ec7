"""A figure as files: PNG for pages, SVG and PDF for papers."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from bvalign.predictions.atomic import write_atomic

FORMATS = {"png": {"dpi": 150}, "svg": {"dpi": 200}, "pdf": {"dpi": 200}}
"""Clouds of points are pictures in the vector formats too, at this resolution."""


def save_figure(figure: Figure, path: Path) -> bytes:
    """Writes the figure in all formats and returns the PNG.

    Args:
        figure: keeps its layout from now on.
        path: without its suffix.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once: half of the time of all formats
    contents = {}
    for kind, options in FORMATS.items():
        content = io.BytesIO()
        date = {"svg": "Date", "pdf": "CreationDate"}.get(kind)
        metadata = {date: None} if date else {}  # the same numbers give the same file
        figure.savefig(content, format=kind, metadata=metadata, **options)
        contents[kind] = content.getvalue()
        write_atomic(path.with_suffix(f".{kind}"), contents[kind])
    return contents["png"]
