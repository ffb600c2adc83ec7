"""Figures of a study, in the colours of the package; study.yaml lists them under `figures`.

scatter: run, ...        the alignment scatter of each run, as in its report
numbers: name, ...       one panel per number, one row per run with its 95% interval, dotted where
                         it is over samples or members alone; hollow: not to be quoted
curves: pattern, ...     one panel per pattern, all curves of the extras that match it
sizes: grid, ...         risk, squared bias, variance and error over the values of a grid of runs
over: label, grids, numbers   one panel per number over the values of grids of runs, with 95%
                         intervals; hollow: not to be quoted
"""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measures import Curves, read_samples
from verdicts import BOTH, Number, Numbers

from bvalign.show.figures.lines import summary_lines
from bvalign.show.figures.members import Interval, over_size
from bvalign.show.figures.scatter import Panel, alignment_scatter
from bvalign.show.figures.style import BOUND, CORRECT, WRONG

COLOURS = (CORRECT, WRONG, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^vDPX"
COLUMNS = 4


def scatter(run: Path, summary: dict) -> Figure:
    """The plug-in scatter of one run with its fitted lines."""
    samples = read_samples(run)
    lines = summary_lines(summary, ("logit_slope", "ols"))
    return alignment_scatter(
        [Panel("plug-in", samples["bias_sq"], samples["variance"], lines)],
        samples["correct"] == 1,
        num_members=summary["num_members"],
        num_classes=summary["num_classes"],
    )


def numbers(names: list[str], runs: dict[str, Numbers], claims: list[dict]) -> Figure:
    """Each number of each run with its interval; the range that confirms a claim is shaded."""
    runs = {run: _with_values(measured) for run, measured in runs.items()}
    rows = [run for run, measured in runs.items() if any(name in measured for name in names)]
    figure, panels = _grid(len(names), (3.3, 1.1 + 0.2 * max(len(rows), 4)))
    for place, (name, axes) in enumerate(zip(names, panels, strict=True)):
        for row, run in enumerate(rows):
            number = runs[run].get(name)
            if number is None:
                continue
            if number["interval"]:
                style = "-" if number.get("over", BOTH) == BOTH else ":"
                axes.plot(number["interval"], [row, row], color=CORRECT, lw=2, ls=style)
            fill = "white" if number.get("flags") else CORRECT
            axes.plot(number["value"], row, "o", color=CORRECT, ms=4, mfc=fill)
        limits = axes.get_xlim()
        of_runs = [c["within"] for c in claims if c["number"] == name and "compare" not in c]
        for within in {tuple(ends) for ends in of_runs}:
            axes.axvspan(*np.clip(within, *limits), color=BOUND, alpha=0.2, lw=0)
        axes.set_yticks(range(len(rows)), rows if place % COLUMNS == 0 else [""] * len(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(labelsize=8)
        axes.set_xlabel(name, fontsize=9)
        axes.grid(True, color="#E6E6E6", linewidth=0.6)
    text = "bars: 95% interval, dotted over samples alone or members alone; hollow: do not quote"
    figure.suptitle(f"{text}\ngrey: confirms the claim", fontsize=9)
    return figure


def curves(patterns: dict[str, str], measured: Curves) -> Figure | None:
    """The curves of the extras, on logarithmic axes where they span more than a decade.

    None where no pattern has any. A curve is named "<run>: <quantity>". A run with several curves
    of a pattern has its own panel.
    """
    panels = []
    for pattern, label in patterns.items():
        by_run: dict[str, Curves] = {}
        for name in (name for name in measured if fnmatch(name, pattern)):
            run, _, quantity = name.partition(": ")
            by_run.setdefault(run, {})[quantity] = measured[name]
        if not by_run:
            continue
        if all(len(lines) == 1 for lines in by_run.values()):
            title = ", ".join(
                dict.fromkeys(quantity for lines in by_run.values() for quantity in lines)
            )
            lines = {run: next(iter(lines.values())) for run, lines in by_run.items()}
            panels.append((title, label, lines))
        else:
            panels += [(run, label, lines) for run, lines in by_run.items()]
    if not panels:
        return None
    figure, axes_of_panels = _grid(len(panels), (5.4, 3.4), most=2)
    for (title, label, lines), axes in zip(panels, axes_of_panels, strict=True):
        for number, (name, points) in enumerate(lines.items()):
            _curve(axes, name, points, number)
        axes.set_xlabel(label)
        axes.set_title(title, fontsize=10)
        axes.grid(True, color="#E6E6E6", linewidth=0.6)
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.suptitle("bars: one standard deviation", fontsize=9)
    return figure


def _grid(number: int, size: tuple[float, float], most: int = COLUMNS) -> tuple[Figure, list[Axes]]:
    """A figure of panels of one size (inches), at most `most` in a row."""
    columns = min(number, most)
    rows = -(-number // columns)
    figure = Figure(figsize=(size[0] * columns + 1, size[1] * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for empty in panels[number:]:
        empty.set_axis_off()
    return figure, panels[:number]


def sizes(
    grid: str, label: str, numbers: dict[str, Numbers], summaries: dict[str, dict]
) -> Figure | None:
    """Unbiased means of the runs <grid>-<value> over that value; None for fewer than two runs."""
    runs = _runs_of(grid, summaries)
    at = sorted(runs)
    if len(at) < 2:
        return None
    keys = {"risk": "risk", "bias_sq": "bias_sq_unbiased", "variance": "variance_unbiased"}
    values = {
        name: _intervals([numbers[runs[size]][f"mean.{key}"] for size in at])
        for name, key in keys.items()
    }
    accuracy = _intervals([numbers[runs[size]]["accuracy"] for size in at])
    values["error"] = Interval(1 - accuracy.value, 1 - accuracy.high, 1 - accuracy.low)
    num_samples = min(summaries[runs[size]]["num_samples"] for size in at)
    places = at
    if places[0] == 0:  # a depth of zero has no place on a logarithmic axis
        places = [place + 1 for place in places]
        label = f"{label} + 1"
    num_members = min(summaries[runs[size]]["num_members"] for size in at)
    return over_size(places, values, size_name=f"{label}; N = {num_samples:,}, M = {num_members}")


def over(
    label: str, grids: list[str], names: list[str], measured: dict[str, Numbers]
) -> Figure | None:
    """Numbers of the runs <grid>-<value> over that value; None where no grid has two runs."""
    runs = {grid: _runs_of(grid, measured) for grid in grids}
    runs = {grid: of_grid for grid, of_grid in runs.items() if len(of_grid) > 1}
    if not runs:
        return None
    figure, panels = _grid(len(names), (5.0, 3.6), most=2)
    for name, axes in zip(names, panels, strict=True):
        for number, (grid, of_grid) in enumerate(runs.items()):
            points = {at: _with_values(measured[run]).get(name) for at, run in of_grid.items()}
            points = {at: points[at] for at in sorted(points) if points[at]}
            colour, marker = COLOURS[number], MARKERS[number]
            values = [point["value"] for point in points.values()]
            axes.plot(list(points), values, color=colour, lw=1, alpha=0.6)
            for at, point in points.items():
                fill = "white" if point.get("flags") else colour
                axes.plot(at, point["value"], marker, color=colour, mfc=fill, label=grid)
                axes.plot([at, at], point["interval"] or [np.nan] * 2, color=colour, lw=1.8)
        axes.set_xlabel(label)
        axes.set_ylabel(name)
        axes.grid(True, color="#E6E6E6", linewidth=0.6)
    handles, labels = panels[0].get_legend_handles_labels()
    of_label = dict(zip(labels, handles, strict=True))
    panels[0].legend(of_label.values(), of_label.keys(), fontsize=8)
    figure.suptitle("bars: 95% interval; hollow: do not quote", fontsize=9)
    return figure


def _runs_of(grid: str, names: Iterable[str]) -> dict[float, str]:
    """Value -> name of the runs <grid>-<value>."""
    return {float(n.rpartition("-")[2]): n for n in names if n.rpartition("-")[0] == grid}


def _intervals(of_runs: list[Number]) -> Interval:
    """Bars only where an interval is over samples and members."""
    whole = [number.get("over") == BOTH for number in of_runs]
    ends = [n["interval"] if w else [np.nan] * 2 for n, w in zip(of_runs, whole, strict=True)]
    low, high = np.array(ends).T
    return Interval(np.array([n["value"] for n in of_runs], dtype=np.float64), low, high)


def _with_values(measured: Numbers) -> Numbers:
    return {name: number for name, number in measured.items() if number["value"] is not None}


def _curve(axes: Axes, name: str, points: list[dict[str, float]], number: int) -> None:
    x, y, error = ([p.get(key) or 0.0 for p in points] for key in ("x", "y", "error"))
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    style = {"color": colour, "marker": marker, "ls": "-" if number < len(COLOURS) else "--"}
    axes.errorbar(x, y, yerr=error, ms=4, lw=1.4, label=name, **style)
    if min(x) > 0 and max(x) > 10 * min(x):
        axes.set_xscale("log")
        if len(x) <= 10:
            axes.set_xticks(x, [f"{value:g}" for value in x])
            axes.minorticks_off()
    if min(y) > 0 and max(y) > 10 * min(y):
        axes.set_yscale("log")
