"""The report of labelled predictions: numbers, figures and page."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bvalign.analysis.intervals import exponential
from bvalign.analysis.summary import Analysis
from bvalign.show.figures import (
    Panel,
    alignment_scatter,
    fitted_lines,
    member_figures,
    member_slopes,
    plot_panel,
)
from bvalign.show.figures import samples as figures
from bvalign.show.report.page.labelled import captions
from bvalign.show.report.summary_json import summarise

__all__ = ["alignment", "captions", "plot", "summarise"]


def alignment(analysis: Analysis, axes: Axes | None = None) -> Figure:
    """Plots the alignment scatter: of these members and, if they are several, unbiased values.

    Args:
        analysis: the results.
        axes: to plot the values of these members alone there; by default a new figure.
    """
    several = analysis.num_members > 1
    size = {"num_members": analysis.num_members, "num_classes": analysis.num_classes}
    lines = fitted_lines(analysis, ("logit_slope", "ols"))
    bounded = not analysis.soft_labels
    values = (analysis["bias_sq"], analysis["variance"])
    panels = [Panel("plug-in", *values, lines, bounded=bounded)]
    if axes is not None:
        plot_panel(axes, *panels, analysis["correct"], **size)
        return axes.figure
    if several:
        lines = fitted_lines(analysis, ("logit_slope",))
        unbiased = (analysis[k] for k in ("bias_sq_unbiased", "variance_unbiased"))
        panels.append(Panel("unbiased", *unbiased, lines, bounded=False))
    return alignment_scatter(panels, analysis["correct"], **size)


def plot(analysis: Analysis) -> dict[str, Figure]:
    """Plots the figures of the report, by file name."""
    several = analysis.num_members > 1
    bias_sq, variance, correct = (analysis[k] for k in ("bias_sq", "variance", "correct"))
    bounded = not analysis.soft_labels
    linear = [Panel("plug-in", bias_sq, variance, bounded=bounded)]
    space = {"num_members": analysis.num_members, "num_classes": analysis.num_classes}
    size = {"num_members": analysis.num_members, "num_samples": analysis.num_samples}
    plots = {
        "alignment_log": alignment(analysis),
        "alignment_linear": alignment_scatter(linear, correct, **space, log=False),
    }
    if several:
        plots |= member_slopes(analysis)
        decomposition = analysis.table.decomposition
        ratio = (decomposition.variance / decomposition.bias_sq).numpy()
        population = analysis.alignment.logit_slope
        plots["ratio"] = figures.ratio_histogram(
            ratio,
            correct,
            exponential(population.offset),
            num_members=analysis.num_members,
            flags=population.flags,
            bounded=bounded,
        )
        plots |= member_figures(analysis)
    if analysis.collapse.noise is not None:
        plots["collapse"] = figures.collapse(analysis.collapse, **size)
    calibration = analysis.calibration
    binned = {"num_members": analysis.num_members, "num_samples": calibration.num_samples}
    plots["reliability"] = figures.reliability(calibration.reliability, **binned)
    return plots
