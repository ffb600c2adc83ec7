"""Slope and offset over the number of members: do they still move at the right end?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure

from bvalign.analysis.intervals import Estimate
from bvalign.show.figures.layout import finish, legend_below, lettered, panels
from bvalign.show.figures.lines import TITLES
from bvalign.show.figures.style import BOUND, LINES, OTHER_LINE

MARKERS = {"logit_slope": "o", "ols": "s"}


class Curve(NamedTuple):
    """A number of smaller ensembles and of all members."""

    rows: Sequence[tuple[int, float, float | None]]  # members, mean and deviation over ensembles
    whole: Estimate


def slope_over_members(
    slopes: Mapping[str, Curve],
    offsets: Mapping[str, Curve],
    *,
    num_members: int,
    flags: Sequence[str] = (),
) -> Figure:
    """Plots slopes over the number of members and, where there are any, offsets beside them.

    Args:
        slopes: by estimator.
        offsets: by estimator; the second panel.
        num_members: M.
        flags: reasons not to quote the population's numbers.
    """
    parts = [("slope of log variance\non log squared bias", slopes)]
    if offsets:
        parts.append(("offset: mean of log variance\nminus log squared bias", offsets))
    figure, grid = panels(len(parts), 0.8, sharex=True)
    curves = [curve for _, of_panel in parts for curve in of_panel.values()]
    sizes = sorted({row[0] for curve in curves for row in curve.rows} | {num_members})
    handles = []
    for (name, of_panel), axes in zip(parts, grid, strict=True):
        for place, (estimator, curve) in enumerate(of_panel.items()):
            handles += _plot_curve(axes, estimator, curve, num_members, place, flags)
        finish(axes, "members M", name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    handles.insert(0, grid[0].axhline(1, color=BOUND, ls="--", label="slope one"))
    lettered(grid)
    legend_below(figure, handles)
    return figure


def _plot_curve(
    axes: Axes, name: str, curve: Curve, num_members: int, place: int, flags: Sequence[str]
) -> list[Artist | Container]:
    """Plots one curve that ends at all members, with their interval; returns both for legends."""
    colour, flagged = LINES.get(name, OTHER_LINE), name == "logit_slope" and flags
    end = num_members * 1.05**place  # side by side, or one interval would hide the other
    rows = [*curve.rows, (end, curve.whole.value, None)]
    members, mean, deviation = (np.array([row[i] or 0.0 for row in rows]) for i in range(3))
    label = TITLES[name] + (", do not quote" if flagged else "")
    style = {"marker": MARKERS.get(name, "d"), "color": colour, "capsize": 3}
    style |= {"ls": ":" if flagged else "-", "mfc": "white" if flagged else colour}
    bars = axes.errorbar(members, mean, deviation, label=label, **style)
    interval = curve.whole.quoted_interval
    if not interval:
        return [bars]
    alone = "" if curve.whole.interval else " over samples alone"
    text = f"{TITLES[name]}: 95% interval{alone}, all {num_members}"
    width = 3.5 * mpl.rcParams["lines.linewidth"]
    return [bars, axes.vlines(end, *interval, color=colour, lw=width, alpha=0.5, label=text)]
