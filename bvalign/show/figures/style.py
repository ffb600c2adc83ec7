"""Colours and line styles of all figures.

Colours come from Okabe and Ito's palette, which the colour-blind can tell apart, also in greyscale.
"""

CORRECT, WRONG, FIT, BOUND = "#0072B2", "#D55E00", "#000000", "#7F7F7F"
LINES = {"cross_half": FIT}
OTHER_LINE = "#009E73"
"""Colours of fitted lines: black for the estimator to quote, bluish green for any other."""

GRID = {"color": "#E6E6E6", "linewidth": 0.6}
