"""The report of labelled predictions: numbers and figures."""

from bvalign.analysis.summary import Analysis
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.plots import (
    alignment_plots,
    collapse_plot,
    disagreement_plot,
    ratio_plot,
    reliability_plot,
    slopes_plot,
)
from bvalign.show.report.summary_json import summarise

__all__ = ["plot", "summarise"]


def plot(analysis: Analysis) -> dict[str, Plot]:
    """Describes the figures of the report, by file name."""
    plots: dict[str, Plot | None] = dict(alignment_plots(analysis))
    if analysis.num_members > 1:
        plots["slope_over_members"] = slopes_plot(analysis)
        plots["ratio"] = ratio_plot(analysis)
        plots["disagreement"] = disagreement_plot(analysis)
    if analysis.collapse.noise is not None:
        plots["collapse"] = collapse_plot(analysis)
    plots["reliability"] = reliability_plot(analysis)
    return {name: found for name, found in plots.items() if found is not None}
