"""The report of labelled predictions: numbers, figures and page."""

from matplotlib.figure import Figure

from bvalign.analysis.summary import Analysis
from bvalign.show.figures import (
    Panel,
    alignment_scatter,
    fitted_lines,
    member_figures,
    member_slopes,
)
from bvalign.show.figures import samples as figures
from bvalign.show.report.page import page
from bvalign.show.report.summary_json import geometric_mean, summarise

__all__ = ["page", "plot", "summarise"]


def plot(analysis: Analysis) -> dict[str, Figure]:
    """Plots the figures of the report, by file name."""
    several = analysis.num_members > 1
    bias_sq, variance, correct = (analysis[k] for k in ("bias_sq", "variance", "correct"))
    bounded = not analysis.soft_labels
    plug_in = Panel("plug-in", bias_sq, variance, bounded=bounded)
    panels = [plug_in._replace(lines=fitted_lines(analysis, ("logit_slope", "ols")))]
    if several:
        lines = fitted_lines(analysis, ("logit_slope",))
        unbiased = (analysis[k] for k in ("bias_sq_unbiased", "variance_unbiased"))
        panels.append(Panel("unbiased", *unbiased, lines, bounded=False))
    space = {"num_members": analysis.num_members, "num_classes": analysis.num_classes}
    size = {"num_members": analysis.num_members, "num_samples": analysis.num_samples}
    plots = {
        "alignment_log": alignment_scatter(panels, correct, **space),
        "alignment_linear": alignment_scatter([plug_in], correct, **space, log=False),
    }
    if several:
        plots |= member_slopes(analysis)
        decomposition = analysis.samples.decomposition
        ratio = (decomposition.variance / decomposition.bias_sq).numpy()
        population = analysis.alignment.logit_slope
        plots["ratio"] = figures.ratio_histogram(
            ratio,
            correct,
            geometric_mean(population.offset),
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
