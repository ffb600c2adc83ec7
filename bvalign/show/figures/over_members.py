"""Slope and offset over the number of members: do they still move at the right end?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure

from bvalign.analysis.intervals import Estimate
from bvalign.analysis.summary import Analysis
from bvalign.show.figures.lines import TITLES
from bvalign.show.figures.style import BOUND, GRID, LINES, OTHER_LINE

MARKERS = {"logit_slope": "o", "ols": "s"}


class Curve(NamedTuple):
    """A number of smaller ensembles and of all members."""

    rows: Sequence[tuple[int, float, float | None]]  # members, mean and deviation over ensembles
    whole: Estimate


def slope_over_members(
    slopes: Mapping[str, Curve],
    offsets: Mapping[str, Curve],
    *,
    num_samples: int,
    num_members: int,
    flags: Sequence[str] = (),
) -> Figure:
    """Plots slopes over the number of members and, where there are any, offsets beside them.

    Args:
        slopes: by estimator.
        offsets: by estimator; the second panel.
        num_samples: N, for the title.
        num_members: M.
        flags: reasons not to quote the population's numbers, for the legend.
    """
    panels = [("slope of log variance on log squared bias", slopes)]
    if offsets:
        panels.append(("offset: mean of log variance - log squared bias", offsets))
    figure = Figure(figsize=(5.6 * len(panels), 4.8), layout="constrained")
    grid = figure.subplots(1, len(panels), sharex=True, squeeze=False)[0]
    curves = [curve for _, of_panel in panels for curve in of_panel.values()]
    sizes = sorted({row[0] for curve in curves for row in curve.rows} | {num_members})
    handles = []
    for (name, of_panel), axes in zip(panels, grid, strict=True):
        for place, (estimator, curve) in enumerate(of_panel.items()):
            handles += _plot_curve(axes, estimator, curve, num_members, place, flags)
        axes.set_xlabel("members M (thin bars: one standard deviation over ensembles)")
        axes.set_ylabel(name)
        axes.grid(True, **GRID)
        axes.set_axisbelow(True)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    handles.insert(0, grid[0].axhline(1, color=BOUND, ls="--", lw=1, label="slope one"))
    figure.suptitle(f"N = {num_samples}, M = {num_members}", fontsize=10)
    shown = {handle.get_label(): handle for handle in handles}
    figure.legend(handles=shown.values(), loc="outside lower center", ncols=2, fontsize=8)
    return figure


def member_slopes(analysis: Analysis) -> dict[str, Figure]:
    """Plots slope and offset over the number of members, by file name; none without a smaller one.

    Args:
        analysis: its `alignment` is read.
    """
    found = analysis.alignment
    population = found.logit_slope
    both = {"logit_slope": population.slope, "ols": found.ols["slope"]}
    slopes = _curves(analysis, "slope", both)
    offsets = _curves(analysis, "offset", {"logit_slope": population.offset})
    if not any(curve.rows for curve in slopes.values()):
        return {}
    figure = slope_over_members(
        slopes,
        offsets,
        num_samples=analysis.num_samples,
        num_members=analysis.num_members,
        flags=population.flags,
    )
    return {"slope_over_members": figure}


def _curves(analysis: Analysis, number: str, whole: Mapping[str, Estimate]) -> dict[str, Curve]:
    """Reads the estimators that have a value for all members."""
    return {
        name: Curve(
            [
                (row["members"], row["mean"], row["spread"])
                for row in analysis.alignment.curve
                if (row["estimator"], row["number"]) == (name, number)
                and row["members"] < analysis.num_members
            ],
            estimate,
        )
        for name, estimate in whole.items()
        if estimate.value is not None
    }


def _plot_curve(
    axes: Axes, name: str, curve: Curve, num_members: int, place: int, flags: Sequence[str]
) -> list[Artist | Container]:
    """Plots one curve that ends at all members, with their interval; returns both for legends."""
    colour, flagged = LINES.get(name, OTHER_LINE), name == "logit_slope" and flags
    end = num_members * 1.05**place  # side by side, or one interval would hide the other
    rows = [*curve.rows, (end, curve.whole.value, None)]
    members, mean, deviation = (np.array([row[i] or 0.0 for row in rows]) for i in range(3))
    label = TITLES[name] + (f"\ndo not quote: {', '.join(flags)}" if flagged else "")
    style = {"marker": MARKERS.get(name, "d"), "color": colour, "capsize": 3, "lw": 1.5}
    style |= {"ls": ":" if flagged else "-", "mfc": "white" if flagged else colour}
    bars = axes.errorbar(members, mean, deviation, label=label, **style)
    interval = curve.whole.quoted_interval
    if not interval:
        return [bars]
    alone = "" if curve.whole.interval else " over samples alone"
    text = f"{name}: 95% interval{alone} of all {num_members} members"
    return [bars, axes.vlines(end, *interval, color=colour, lw=5, alpha=0.5, label=text)]
