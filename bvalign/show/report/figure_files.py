"""Figures on disk, each with its caption and its numbers."""

import csv
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from bvalign.atomic import remove_left, write_atomic
from bvalign.show.figures import Plot, styled
from bvalign.show.figures.plot import Columns
from bvalign.show.tex import escaped

FORMATS = ("pdf", "png", "svg")
WITHOUT_DATE = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None},
    "png": {"Software": None},
}
"""Metadata of files that are the same for the same numbers."""


def chosen(plots: Mapping[str, Plot], only: Sequence[str]) -> dict[str, Plot]:
    """Selects figures by name, all of them by default.

    Args:
        plots: by name.
        only: names or beginnings of names, such as `alignment` for both scatters.

    Raises:
        ValueError: no figure has such a name.
    """
    for name in only:
        if not any(key.startswith(name) for key in plots):
            raise ValueError(
                f"there is no figure {name} of these predictions; --only takes "
                f"{', '.join(plots)}, or the beginning of such a name"
            )
    return {key: p for key, p in plots.items() if not only or key.startswith(tuple(only))}


def write_figures(
    plots: Mapping[str, Plot],
    out: Path,
    *,
    style: str = "iclr",
    width: float | None = None,
    formats: Iterable[str] = ("pdf",),
) -> list[Path]:
    """Writes NAME.pdf, the caption NAME.txt and the numbers NAME.csv of each figure.

    Args:
        plots: by name.
        out: a folder, created if missing.
        style: key of STYLES; what the user's matplotlibrc sets wins over it.
        width: inches; by default that of the style.
        formats: any of FORMATS.

    Returns:
        The paths of the figures.

    Raises:
        ValueError: TeX is to set the type, and there is none.
    """
    out.mkdir(parents=True, exist_ok=True)
    remove_left(out)
    paths = []
    for name, plot in plots.items():
        with styled(style, width), mpl.rc_context({"svg.hashsalt": name}):
            figure = _set_by_tex(plot.draw())
            for suffix in formats:
                paths.append(out / f"{name}.{suffix}")
                write_atomic(paths[-1], _saved(figure, suffix))
        write_atomic(out / f"{name}.txt", (plot.caption + "\n").encode())
        write_atomic(out / f"{name}.csv", _table(plot.numbers).encode())
    return paths


def _set_by_tex(figure: Figure) -> Figure:
    """Escapes all texts where the user's matplotlibrc has TeX set them."""
    if not mpl.rcParams["text.usetex"]:
        return figure
    if shutil.which("latex") is None:
        raise ValueError(
            "text.usetex of your matplotlibrc needs LaTeX, but there is no command latex; install "
            "it, or set text.usetex to False"
        )
    for text in figure.findobj(Text):
        text.set_text(text.get_text() if "$" in text.get_text() else escaped(text.get_text()))
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            named = axis.get_major_formatter()
            if isinstance(named, FuncFormatter):  # of ticks with names
                axis.set_major_formatter(FuncFormatter(lambda *at, of=named: escaped(of(*at))))
    return figure


def _saved(figure: Figure, suffix: str) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=suffix, metadata=WITHOUT_DATE[suffix])
    return content.getvalue()


def _table(numbers: Columns) -> str:
    """Writes a row per point; what is undefined is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(numbers)
    columns = (c.tolist() if isinstance(c, np.ndarray) else c for c in numbers.values())
    writer.writerows(zip(*(map(_cell, column) for column in columns), strict=True))
    return file.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return "" if value != value else f"{value:.10g}"
    return "" if value is None else value
