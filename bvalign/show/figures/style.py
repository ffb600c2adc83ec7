"""Colours and sizes that all figures share.

The colours are of Okabe and Ito's palette, told apart by the colour-blind and in grey.
"""

CORRECT, WRONG, FIT, BOUND = "#0072B2", "#D55E00", "#000000", "#7F7F7F"
LINES = {"cross_half": FIT}
OTHER_LINE = "#009E73"
"""Colours of fitted lines: black for the one to quote, bluish green for any other."""

GRID = {"color": "#E6E6E6", "linewidth": 0.6}
