"""Functions from arrays to matplotlib figures: no files, no loggers, no pyplot state."""

from bvalign.show.figures.lines import Line, fitted_lines, summary_lines
from bvalign.show.figures.members import curves_band
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.runs import RunScatter, alignment_multiples, slopes
from bvalign.show.figures.scatter import (
    DECADES_SHOWN,
    Panel,
    alignment_scatter,
    feasible_variance,
    plot_panel,
)
from bvalign.show.figures.style import STYLES, styled
from bvalign.show.figures.svg import svg

__all__ = [
    "DECADES_SHOWN",
    "STYLES",
    "Line",
    "Panel",
    "Plot",
    "RunScatter",
    "alignment_multiples",
    "alignment_scatter",
    "curves_band",
    "feasible_variance",
    "fitted_lines",
    "plot_panel",
    "slopes",
    "styled",
    "summary_lines",
    "svg",
]
