"""Figures of a number of panels that are as wide as the style says, with legends outside."""

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from bvalign.show.figures.style import GRID

MEASURE = TextToPath()

LEAST_PANEL = 20
"""Smallest width of a panel beside others, in ems of its ticks."""

LONE_PANEL = 0.72
"""Width that sets the height of a lone panel in a wide figure, as a part of that of the figure."""

NARROW = 4.5
"""Inches: figures up to this wide are columns."""

HANDLE, LINE = 4.8, 1.3
"""Width of a legend's handle with the space around it, and height of a line, in ems."""


class Panels(NamedTuple):
    """A figure and its axes, row by row."""

    figure: Figure
    axes: list[Axes]


def panels(
    number: int, aspect: float, *, most: int = 2, least: int = LEAST_PANEL, **options: object
) -> Panels:
    """Makes a figure as wide as `figure.figsize`, with panels in rows.

    Args:
        number: of panels.
        aspect: height of a panel over its width.
        most: panels in a row; fewer where they would be too narrow for their labels.
        least: ems of their type that panels are wide.
        options: for `Figure.subplots`.
    """
    width, size = mpl.rcParams["figure.figsize"][0], _points("xtick.labelsize")
    columns = max(1, min(number, most, int(72 * width / (least * size))))
    rows = math.ceil(number / columns)
    lone = columns == 1 and width > NARROW
    height = aspect * rows * width * (LONE_PANEL if lone else 1 / columns)
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **options).ravel().tolist()
    for axes in grid[number:]:
        axes.remove()
    return Panels(figure, grid[:number])


def finish(axes: Axes, x: str, y: str) -> None:
    """Labels the axes and puts the grid behind the data."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True, **GRID)
    axes.set_axisbelow(True)


def lettered(axes: Sequence[Axes]) -> None:
    """Marks several panels (a), (b), ..., as the caption calls them."""
    for letter, panel in zip("abcdefghijklmnopqrstuvwxyz", axes, strict=False):
        if len(axes) > 1:
            panel.set_title(f"({letter})", loc="left", fontweight="bold")


def legend_below(figure: Figure, handles: Sequence[Artist | Container] | None = None) -> None:
    """Puts one legend below all panels, in as many columns as fit, and makes room for it.

    Args:
        figure: gets higher by the height of the legend.
        handles: with labels; by default those of all axes, each label once.
    """
    if handles is None:
        handles = [h for axes in figure.axes for h in axes.get_legend_handles_labels()[0]]
    shown = {handle.get_label(): handle for handle in handles}
    if not shown:
        return
    size = _points("legend.fontsize")
    room = 72 * figure.get_figwidth() / size - 2 * HANDLE
    lines = [_wrapped(label, room, size) for label in shown]
    widths = [max(_ems(line, size) for line in label) + HANDLE for label in lines]
    columns = next(
        number
        for number in range(len(widths), 0, -1)
        if number == 1 or sum(map(max, np.array_split(widths, number))) <= room + HANDLE
    )
    rows = max(sum(part) for part in np.array_split([len(label) for label in lines], columns))
    labels = ["\n".join(label) for label in lines]
    style = {"loc": "outside lower center", "ncols": columns, "frameon": False}
    figure.legend(list(shown.values()), labels, **style)
    figure.set_figheight(figure.get_figheight() + (rows * LINE + 1) * size / 72)


def _wrapped(label: str, room: float, size: float) -> list[str]:
    """Breaks a label that is wider than so many ems into lines."""
    return wrap(label, max(1, int(len(label) * min(1.0, room / _ems(label, size)))))


def _ems(text: str, size: float) -> float:
    """Width of a text in the font of the style."""
    return MEASURE.get_text_width_height_descent(text, FontProperties(size=size), False)[0] / size


def _points(name: str) -> float:
    """The size of type that a setting of matplotlib stands for, in points."""
    return FontProperties(size=mpl.rcParams[name]).get_size_in_points()
