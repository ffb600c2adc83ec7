"""The report of labelled predictions: numbers, figures and page."""

from matplotlib.figure import Figure

from bvalign.analysis.slopes import ESTIMATORS
from bvalign.analysis.summary import Analysis
from bvalign.show.figures import Panel, alignment_scatter, fitted_lines, member_figures
from bvalign.show.figures import samples as figures
from bvalign.show.report.page import page
from bvalign.show.report.summary_json import summarise

__all__ = ["page", "plot", "summarise"]


def plot(analysis: Analysis) -> dict[str, Figure]:
    """Plots the figures of the report, by file name."""
    several = analysis.num_members > 1
    bias_sq, variance, correct = (analysis[k] for k in ("bias_sq", "variance", "correct"))
    plug_in = Panel("plug-in", bias_sq, variance)
    panels = [plug_in._replace(lines=fitted_lines(analysis, ("cross_half", "ols")))]
    if several:
        lines = fitted_lines(analysis, ("cross_half", "ols_unbiased"))
        unbiased = (analysis[k] for k in ("bias_sq_unbiased", "variance_unbiased"))
        panels.append(Panel("unbiased", *unbiased, lines))
    space = {"num_members": analysis.num_members, "num_classes": analysis.num_classes}
    size = {"num_members": analysis.num_members, "num_samples": analysis.num_samples}
    plots = {
        "alignment_log": alignment_scatter(panels, correct, **space),
        "alignment_linear": alignment_scatter([plug_in], correct, **space, log=False),
    }
    if several:
        plots |= _slope_over_members(analysis)
        decomposition = analysis.samples.decomposition
        ratio = (decomposition.variance / decomposition.bias_sq).numpy()
        members = analysis.num_members
        plots["ratio"] = figures.ratio_histogram(ratio, correct, num_members=members)
        plots |= member_figures(analysis)
    if analysis.collapse.noise is not None:
        plots["collapse"] = figures.collapse(analysis.collapse, **size)
    plots["reliability"] = figures.reliability(analysis.calibration.reliability, **size)
    return plots


def _slope_over_members(analysis: Analysis) -> dict[str, Figure]:
    """Plots slopes over the number of members, if any estimator has a slope."""
    curves: dict[str, list[tuple[int, float, float | None]]] = {}
    for row in analysis.alignment.curve:
        if row["number"] == "slope" and ESTIMATORS[row["estimator"]].plotted:
            point = (row["members"], row["mean"], row["spread"])
            curves.setdefault(row["estimator"], []).append(point)
    estimators = analysis.alignment.estimators
    final = {name: estimators[name]["slope"].interval for name in curves}
    final = {name: interval for name, interval in final.items() if interval}
    if not curves:
        return {}
    figure = figures.slope_over_members(curves, num_samples=analysis.num_samples, final=final)
    return {"slope_over_members": figure}
