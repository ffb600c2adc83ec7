"""Figures of `budget.py` and `prediction.py`; study.yaml lists them under `figures`.

budget: number, ...      one panel per number, slope or offset: for each run the parts as bars that
                         start where the part before ends, from one (slope) or zero (offset) to the
                         value of these members, with their 95% intervals
predicted: number, ...   one panel per number: predicted from two members over that of the others
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from odds_models import STAGES
from verdicts import Numbers

START = {"slope": 1.0, "offset": 0.0}
COLOURS = dict(
    zip(
        STAGES,
        ("#BBBBBB", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"),
        strict=True,
    )
)
NAMES = {
    "base": "margins, one Gaussian noise",
    "growth": "growth of the noise",
    "temperature": "members' temperatures",
    "shape": "shape of the noise",
    "classes": "several wrong classes",
    "own": "samples' own noise",
    "finite": "finite ensemble",
}
LABELS = {"slope": "slope", "offset": "offset (mean of log variance - log bias²)"}


def budgets(wanted: list[str], runs: dict[str, Numbers]) -> Figure | None:
    """The parts of each number, run by run; None where no run has any."""
    rows = [name for name, numbers in runs.items() if "budget.slope.base" in numbers]
    if not rows:
        return None
    size = (6.2 * len(wanted), 1.3 + 0.95 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(wanted), squeeze=False)[0]
    for number, axes in zip(wanted, panels, strict=True):
        for row, name in enumerate(rows):
            _parts(axes, row, number, runs[name])
        axes.axvline(START[number], color="black", lw=1)
        axes.set_yticks(range(len(rows)), rows if axes is panels[0] else [""] * len(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(LABELS[number])
        axes.grid(True, axis="x", color="#E6E6E6", linewidth=0.6)
        axes.set_axisbelow(True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _parts(axes: Axes, row: int, number: str, numbers: Numbers) -> None:
    """Bars of one run, one below the other; hollow where they must not be quoted."""
    end, height = START[number], 0.84 / len(STAGES)
    for place, stage in enumerate(STAGES):
        part = numbers[f"budget.{number}.{stage}"]
        width = part["value"] - (START[number] if stage == "base" else 0.0)
        y = row - 0.42 + (place + 0.5) * height
        colour = COLOURS[stage]
        fill = "white" if part.get("flags") else colour
        label = NAMES[stage] if row == 0 else None
        axes.barh(y, width, height, left=end, color=fill, ec=colour, lw=0.8, label=label)
        end += width
        if part["interval"]:
            ends = [end + side - part["value"] for side in part["interval"]]
            axes.plot(ends, [y, y], color="black", lw=1.1)
    axes.plot([end, end], [row - 0.42, row + 0.42], color="black", lw=1, ls=":")


def predictions(wanted: list[str], runs: dict[str, Numbers]) -> Figure | None:
    """Predicted against held-out numbers with their intervals; None where no run has any."""
    rows = [name for name, numbers in runs.items() if "predicted.slope" in numbers]
    if not rows:
        return None
    figure = Figure(figsize=(4.6 * len(wanted) + 2.4, 4.4), layout="constrained")
    panels = figure.subplots(1, len(wanted), squeeze=False)[0]
    colours = [*list(COLOURS.values())[1:], "black"]
    for number, axes in zip(wanted, panels, strict=True):
        ends = []
        for row, name in enumerate(rows):
            x, y = (runs[name][f"{kind}.{number}"] for kind in ("held_out", "predicted"))
            bars = [np.abs(np.array([n["interval"]]).T - n["value"]) for n in (x, y)]
            style = {"color": colours[row % len(colours)], "marker": "os^vDPX"[row % 7]}
            fill = "white" if x.get("flags") else style["color"]
            axes.errorbar(x["value"], y["value"], *bars[::-1], label=name, ms=5, mfc=fill, **style)
            ends += [x["value"], *y["interval"], *([] if x.get("flags") else x["interval"])]
        low, high = min(ends), max(ends)
        room = 0.15 * (high - low) + 0.02
        axes.plot([low - room, high + room], [low - room, high + room], color="black", lw=0.8)
        axes.set_xlim(low - room, high + room)
        axes.set_ylim(low - room, high + room)
        axes.set_xlabel(f"{LABELS[number]}, members 3 to M")
        axes.set_ylabel("predicted from members 1 and 2")
        axes.grid(True, color="#E6E6E6", linewidth=0.6)
    panels[-1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False)
    return figure
