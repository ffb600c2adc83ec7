"""Functions from arrays to matplotlib figures: no files, no loggers, no pyplot state."""

from bvalign.show.figures.lines import Line, fitted_lines, summary_lines
from bvalign.show.figures.members import curves_band, member_figures
from bvalign.show.figures.over_members import member_slopes
from bvalign.show.figures.runs import RunScatter, alignment_multiples, slopes
from bvalign.show.figures.scatter import (
    DECADES_SHOWN,
    Panel,
    alignment_scatter,
    feasible_variance,
    plot_panel,
)

__all__ = [
    "DECADES_SHOWN",
    "Line",
    "Panel",
    "RunScatter",
    "alignment_multiples",
    "alignment_scatter",
    "curves_band",
    "feasible_variance",
    "fitted_lines",
    "member_figures",
    "member_slopes",
    "plot_panel",
    "slopes",
    "summary_lines",
]
