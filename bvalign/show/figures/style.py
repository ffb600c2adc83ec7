"""Colours of all figures, and the fonts and sizes of the venues that they are made for.

Colours come from Okabe and Ito's palette, which the colour-blind can tell apart, also in greyscale.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import LogLocator, NullLocator

CORRECT, WRONG, FIT, BOUND = "#0072B2", "#D55E00", "#000000", "#7F7F7F"
LINES = {"logit_slope": FIT, "cross_half": "#CC79A7"}
OTHER_LINE = "#009E73"
"""Colours of fitted lines: black for the slope to quote, bluish green for `ols` and any other."""

AREA, HALO = "#B0B0B0", "#FFFFFF"
"""Colours of areas that nothing can reach, and of what is behind lines to lift them off points."""

GRID = {"color": "#E6E6E6", "linewidth": 0.6}
MILLIMETRE = 1 / 25.4


class Style(NamedTuple):
    """What a figure looks like; lengths in points but for the width."""

    width: float  # inches, by default
    font: str
    labels: float  # size of the type of axes
    small: float  # of ticks and legends, never below 7
    line: float  # width of curves


PAGE = "page"
STYLES = {
    "iclr": Style(5.5, "STIXGeneral", 8.5, 8, 1.3),
    "neurips": Style(5.5, "STIXGeneral", 8.5, 8, 1.3),
    "icml": Style(6.75, "STIXGeneral", 8.5, 8, 1.3),
    "nature": Style(183 * MILLIMETRE, "DejaVu Sans", 7, 7, 1),
    "poster": Style(12, "DejaVu Sans", 20, 18, 3),
    PAGE: Style(6.4, "DejaVu Sans", 9.5, 9, 1.5),
}
"""Venue -> style. Widths are those of the text; a column of ICML has 3.25 inches, of Nature 3.5."""


@contextmanager
def styled(name: str, width: float | None = None) -> Iterator[None]:
    """Runs a block in which figures are drawn and saved in a style.

    What the user's own matplotlibrc sets wins over the style, all but `figure.figsize`.

    Args:
        name: key of STYLES.
        width: inches; by default that of the style.
    """
    style = STYLES[name]
    settings = {
        "font.family": [style.font, "DejaVu Sans"],
        "mathtext.fontset": "stix" if style.font.startswith("STIX") else "dejavusans",
        "font.size": style.labels,
        "axes.labelsize": style.labels,
        "axes.titlesize": style.labels,
        "lines.linewidth": style.line,
        "lines.markersize": 3 * style.line,
        "axes.linewidth": 0.5 * style.line,
        "pdf.fonttype": 42,  # venues refuse the Type 3 fonts that are the default
        "savefig.dpi": 300,
    }
    settings |= dict.fromkeys(
        ("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), style.small
    )
    settings |= {f"{axis}tick.major.width": 0.5 * style.line for axis in "xy"}
    with mpl.rc_context(settings | _of_user()):
        mpl.rcParams["figure.figsize"] = (width or style.width, mpl.rcParams["figure.figsize"][1])
        yield


def _of_user() -> dict[str, object]:
    """What the matplotlibrc of the user sets; nothing if there is only that of matplotlib."""
    path = Path(mpl.matplotlib_fname())
    if path.is_relative_to(mpl.get_data_path()):
        return {}
    given = mpl.rc_params_from_file(path, use_default_template=False)
    return {key: value for key, value in given.items() if key != "backend"}


def whole_decades(axes: Axes) -> None:
    """Takes the minor ticks from logarithmic axes of many decades: nobody reads them there.

    They also take half of the time that the layout needs.
    """
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if axis.get_scale() == "log" and high > 1e3 * low:
            axis.set_minor_locator(NullLocator())
            if axis is axes.xaxis and (place := axes.get_subplotspec()) is not None:
                width = 72 * axes.figure.get_figwidth() / place.get_gridspec().ncols
                size = FontProperties(size=mpl.rcParams["xtick.labelsize"]).get_size_in_points()
                axis.set_major_locator(LogLocator(numticks=max(3, int(width / (6 * size)))))
