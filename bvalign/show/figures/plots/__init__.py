"""Each figure of a report with its caption, alternative text and numbers."""

from bvalign.show.figures.plots.alignment import alignment_figure, alignment_plots
from bvalign.show.figures.plots.calibration import reliability_plot
from bvalign.show.figures.plots.collapse import collapse_plot
from bvalign.show.figures.plots.decisions import chart_plot
from bvalign.show.figures.plots.members import disagreement_plot, slopes_plot
from bvalign.show.figures.plots.ratio import ratio_plot
from bvalign.show.figures.plots.runs import (
    differences_plot,
    scatters_plot,
    slopes_of_runs_plot,
)
from bvalign.show.figures.plots.unlabelled import unlabelled_plots, variance_figure

__all__ = [
    "alignment_figure",
    "alignment_plots",
    "chart_plot",
    "collapse_plot",
    "differences_plot",
    "disagreement_plot",
    "ratio_plot",
    "reliability_plot",
    "scatters_plot",
    "slopes_of_runs_plot",
    "slopes_plot",
    "unlabelled_plots",
    "variance_figure",
]
