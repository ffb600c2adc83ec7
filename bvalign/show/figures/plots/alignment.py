"""The alignment scatters: variance over squared bias of every sample."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bvalign.analysis.summary import Analysis
from bvalign.show.figures.lines import fitted_lines
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.plots.words import left_out, off_the_axes, size, spread, warning
from bvalign.show.figures.scatter import Panel, alignment_scatter, plot_panel, shown
from bvalign.show.rounding import quoted

SOFT = (
    " Labels are soft: squared bias is the distance from the distribution of the label, which has "
    "no bounds here, and correct means that its most probable class is predicted."
)


def alignment_plots(analysis: Analysis) -> dict[str, Plot]:
    """Describes the scatter on logarithmic and on linear axes, by file name."""
    names = ["index", "correct", "bias_sq", "variance"]
    points = {name: analysis[name] for name in names}
    linear = Plot(
        lambda: _linear(analysis), _linear_caption(analysis), _linear_alt(analysis), points
    )
    if analysis.num_members > 1:
        points = points | {k: analysis[k] for k in ("bias_sq_unbiased", "variance_unbiased")}
    caption, alt = "".join(_caption(analysis)), _alt(analysis)
    log = Plot(lambda: alignment_figure(analysis), caption, alt, points)
    return {"alignment_log": log, "alignment_linear": linear}


def alignment_figure(analysis: Analysis, axes: Axes | None = None) -> Figure:
    """Plots the alignment scatter: of these members and, if they are several, unbiased values.

    Args:
        analysis: the results.
        axes: to plot the values of these members alone there; by default a new figure.
    """
    size = {"num_members": analysis.num_members, "num_classes": analysis.num_classes}
    if axes is None:
        return alignment_scatter(_panels(analysis), analysis["correct"], **size)
    plot_panel(axes, _panels(analysis)[0], analysis["correct"], **size)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), fontsize="small")
    return axes.figure


def _panels(analysis: Analysis) -> list[Panel]:
    values = (analysis["bias_sq"], analysis["variance"])
    lines = fitted_lines(analysis, ("logit_slope", "ols"))
    panels = [Panel("plug-in", *values, lines, bounded=not analysis.soft_labels)]
    if analysis.num_members > 1:
        lines = fitted_lines(analysis, ("logit_slope",))
        unbiased = (analysis[k] for k in ("bias_sq_unbiased", "variance_unbiased"))
        panels.append(Panel("unbiased", *unbiased, lines, bounded=False))
    return panels


def _linear(analysis: Analysis) -> Figure:
    panel = _panels(analysis)[0]._replace(lines=())
    return alignment_scatter(
        [panel],
        analysis["correct"],
        num_members=analysis.num_members,
        num_classes=analysis.num_classes,
        log=False,
    )


def _caption(analysis: Analysis) -> Iterator[str]:
    panels, found = _panels(analysis), analysis.alignment
    yield (
        "Variance over squared bias, one point per test sample, darker where they are denser. Both "
        "axes span the same decades, so that slope one is the dashed diagonal. "
    )
    if len(panels) > 1:
        yield (
            "(a) Values of these members. (b) Values that are unbiased for infinitely many "
            "members; their logarithms are not, so that most points lie too low. "
        )
    population, ols = found.logit_slope, found.ols["slope"]
    if population.slope.value is not None:
        yield (
            f"The line of infinitely many members and samples (logit_slope) has slope "
            f"{quoted(population.slope)} and offset {quoted(population.offset)}; it allows for "
            "both and need not run through the points. Band: the intervals of slope and offset."
        )
        yield warning(population.flags) + (" " if population.flags else "")
    if ols.value is not None:
        yield f" The line of these members (ols), of the correct samples, has slope {quoted(ols)}."
    yield left_out(found.dropped)
    if not analysis.soft_labels and analysis.num_members > 2:
        yield " No ensemble of as many members and classes reaches the grey area."
    for letter, panel in zip("ab", panels, strict=False):
        yield off_the_axes(shown(panel), f" of ({letter})" if len(panels) > 1 else "")
    yield SOFT if analysis.soft_labels else ""
    yield f" {size(analysis.num_samples, analysis.num_members)}"


def _alt(analysis: Analysis) -> str:
    correct, found = analysis["correct"], analysis.alignment
    text = f"Scatter plot with logarithmic axes of {len(correct):,} test samples. "
    for name, chosen in (("correct", correct), ("wrong", ~correct)):
        if chosen.any():
            ranges = (spread(analysis[key][chosen]) for key in ("bias_sq", "variance"))
            text += "The {} {} samples have squared bias {} and variance {}. ".format(
                f"{int(chosen.sum()):,}", name, *ranges
            )
    slope = found.ols["slope"]
    if slope.value is not None:
        text += f"Among the correct ones variance rises along a line of slope {slope.value:.2f}"
        fit = found.ols["r_squared"].value
        text += f" with R² {fit:.2f}." if fit is not None else "."
    return text.strip()


def _linear_caption(analysis: Analysis) -> str:
    text = "Variance over squared bias of these members on linear axes, one point per test sample."
    if analysis.soft_labels:
        text += SOFT
    else:
        text += (
            " Samples that the ensemble gets wrong lie to the right of squared bias 1/2. No "
            "ensemble of as many members and classes reaches the grey area."
        )
    return f"{text} {size(analysis.num_samples, analysis.num_members)}"


def _linear_alt(analysis: Analysis) -> str:
    below = float(np.mean(analysis["variance"] < analysis["bias_sq"]))
    return (
        f"Scatter plot with linear axes of {analysis.num_samples:,} test samples. On {below:.0%} "
        f"of them variance is below squared bias. The largest variance is "
        f"{analysis['variance'].max():.2g}, the largest squared bias "
        f"{analysis['bias_sq'].max():.2g}."
    )
