"""Clouds of points, darker where they are denser, of any number of samples."""

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from bvalign.show.figures.style import CORRECT, WRONG

SHADES = {
    CORRECT: LinearSegmentedColormap.from_list("correct", ["#4FA3D9", CORRECT, "#00263D"]),
    WRONG: LinearSegmentedColormap.from_list("wrong", ["#E8752A", WRONG, "#5A2700"]),
}

MOST_VECTORS = 5000
"""Points of a cloud that are drawn one by one; more of them are a picture inside the figure."""

MOST_DRAWN, PIXELS = 100_000, 2000
"""Above that number, points that fall into the same of so many pixels along each axis, more than
any figure has, are drawn once."""


def plot_points(
    axes: Axes,
    x: Float[np.ndarray, " points"],
    y: Float[np.ndarray, " points"],
    colour: str,
    name: str,
    log: bool,
) -> None:
    """Plots points, darker where they are denser."""
    shade, area, picture = np.zeros(len(x)), point_area(len(x)), len(x) > MOST_VECTORS
    if len(x) > 1:
        position = np.log(np.stack([x, y])) if log else np.stack([x, y])
        counts, *edges = np.histogram2d(*position, bins=60)
        if len(x) > MOST_DRAWN:
            drawn = _once_each(position)
            x, y, position = x[drawn], y[drawn], position[:, drawn]
        cell = [np.clip(np.digitize(p, e) - 1, 0, 59) for p, e in zip(position, edges, strict=True)]
        density = np.log1p(counts[tuple(cell)] - 1)
        shade = density / max(density.max(), np.log(20))
    order = np.argsort(shade, kind="stable")
    axes.scatter(
        x[order],
        y[order],
        c=shade[order],
        cmap=SHADES[colour],
        vmin=0,
        vmax=1,
        s=area,
        linewidths=0,
        rasterized=picture,
        zorder=3 if colour == WRONG else 2,
    )
    axes.plot([], [], "o", color=colour, label=name)


def _once_each(position: Float[np.ndarray, "2 points"]) -> Int[np.ndarray, " drawn"]:
    """Chooses one point of each pixel."""
    pixel = np.zeros(position.shape[1], dtype=np.int64)
    for along in position:
        span = np.ptp(along) or 1.0
        pixel = pixel * (PIXELS + 1) + ((along - along.min()) / span * PIXELS).astype(np.int64)
    return np.unique(pixel, return_index=True)[1]


def point_area(number: int) -> float:
    """Area of each of so many points, in square points; smaller the more there are."""
    scale = mpl.rcParams["lines.linewidth"] / 1.5
    return scale * max(3.0, 16 - 2.5 * np.log10(max(number, 1)))
