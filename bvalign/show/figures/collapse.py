"""The figure of the neural-collapse model: its noise, and what it predicts."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from bvalign.analysis.collapse import EDGES, Collapse
from bvalign.show.figures.layout import finish, legend_below, lettered, panels
from bvalign.show.figures.points import MOST_VECTORS, point_area
from bvalign.show.figures.style import CORRECT, FIT, OTHER_LINE, WRONG, whole_decades
from bvalign.show.quantities import title

BINS_SHOWN, FARTHEST = 200, 5
"""Bins of the histogram of the logit noise over its whole range, and the end of the axis."""

DISTRIBUTION_COLOURS = (WRONG, "#CC79A7", CORRECT, OTHER_LINE)
"""Of gumbel, gumbel_max, gaussian and logistic."""


def density(collapse: Collapse) -> dict[str, Float[np.ndarray, " bins"]]:
    """Densities over the residual logits, in their standard deviations: (name -> values).

    Args:
        collapse: with noise.
    """
    step = max(1, len(EDGES) // BINS_SHOWN)
    edges = EDGES.numpy()[::step]
    centres = (edges[1:] + edges[:-1]) / 2
    kept = np.abs(centres) < FARTHEST
    noise = collapse.noise
    cdfs = {"data": noise.empirical_cdf} | {name: fit.cdf for name, fit in noise.fits.items()}
    heights = {name: np.diff(cdf.numpy()[::step]) / np.diff(edges) for name, cdf in cdfs.items()}
    return {name: values[kept] for name, values in ({"logit": centres} | heights).items()}


def collapse(collapse: Collapse, *, num_members: int) -> Figure:
    """Plots the logit noise with the fitted distributions, and the model's prediction over data."""
    figure, (left, right) = panels(2, 0.95)
    heights = density(collapse)
    centres, data = heights.pop("logit"), heights.pop("data")
    left.fill_between(centres, data, color="#D0D0D0", label="residual logits")
    for (name, height), colour in zip(heights.items(), DISTRIBUTION_COLOURS, strict=True):
        distance = collapse.noise.fits[name].distance
        left.plot(
            centres,
            height,
            color=colour,
            label=f"{name.replace('_', ' ')}, distance {distance:.3f}",
        )
    left.set_yscale("log")
    left.set_ylim(1e-5, 1)
    finish(left, "logit noise (standard deviations)", "density")
    for values, colour, label in (
        (collapse.data, CORRECT, f"data, slope {collapse.slope_data:.3f}"),
        (
            collapse.simulated,
            "#E69F00",
            f"model, M = {num_members}, slope {collapse.slope_simulated:.3f}",
        ),
    ):
        style = {"s": point_area(len(values.bias_sq)), "lw": 0, "alpha": 0.5, "color": colour}
        rasterized = len(values.bias_sq) > MOST_VECTORS
        right.scatter(values.bias_sq, values.variance, rasterized=rasterized, **style)
        right.plot([], [], "o", color=colour, label=label)
    text = f"model, M → ∞, slope {collapse.slope_population:.3f}"
    right.plot(collapse.curve.bias_sq, collapse.curve.variance, color=FIT, label=text)
    right.set_xscale("log")
    right.set_yscale("log")
    unit = "\n(squared probability)"
    finish(right, title("bias_sq") + unit, title("variance") + unit)
    for axes in (left, right):
        whole_decades(axes)
    lettered([left, right])
    legend_below(figure)
    return figure
