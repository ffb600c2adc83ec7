"""Colours and line styles of all figures.

Colours come from Okabe and Ito's palette, which the colour-blind can tell apart, also in greyscale.
"""

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

CORRECT, WRONG, FIT, BOUND = "#0072B2", "#D55E00", "#000000", "#7F7F7F"
LINES = {"logit_slope": FIT, "cross_half": "#CC79A7"}
OTHER_LINE = "#009E73"
"""Colours of fitted lines: black for the slope to quote, bluish green for `ols` and any other."""

GRID = {"color": "#E6E6E6", "linewidth": 0.6}


def whole_decades(axes: Axes) -> None:
    """Takes the minor ticks from logarithmic axes of many decades: nobody reads them there.

    They also take half of the time that the layout needs.
    """
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if axis.get_scale() == "log" and high > 1e3 * low:
            axis.set_minor_locator(NullLocator())
