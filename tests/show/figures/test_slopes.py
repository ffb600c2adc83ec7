"""Figures of slope and offset: what their lines, bands, bars and legends say."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bvalign.analysis.intervals import Estimate
from bvalign.show.figures.lines import Line
from bvalign.show.figures.over_members import Curve, slope_over_members
from bvalign.show.figures.plots import slopes_plot
from bvalign.show.figures.samples import ratio_histogram, reliability
from bvalign.show.figures.scatter import Panel, alignment_scatter
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble


def drawn(figure):
    """Draws for real, as only then warnings of broken limits and missing glyphs come."""
    FigureCanvasAgg(figure).draw()
    return figure


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_slope_and_offset_end_in_those_of_all_members():
    found = analysed(*aligned_ensemble(members=12, samples=200))
    figure = drawn(slopes_plot(found).draw())
    left, right = figure.axes
    population, ols = found.alignment.logit_slope, found.alignment.ols["slope"]
    ends = [bar.lines[0].get_ydata()[-1] for axes in (left, right) for bar in axes.containers]
    assert ends == [population.slope.value, ols.value, population.offset.value]
    sizes = [bar.lines[0].get_xdata()[:-1].tolist() for bar in left.containers]
    assert sizes == [[8], [2, 4, 8]]
    thick = [lines for lines in left.collections if lines.get_linewidth()[0] > 4]
    ends = [lines.get_segments()[0][:, 1].tolist() for lines in thick]
    assert ends == [list(population.slope.interval), list(ols.interval)]
    assert [text.get_text() for text in right.get_xticklabels()] == ["2", "4", "8", "12"]
    assert "population: 95% interval, all 12" in legend_of(figure)
    assert slopes_plot(analysed(*aligned_ensemble(members=2, samples=40))) is None


def test_what_is_not_to_be_quoted_is_drawn_so():
    slope, offset = Estimate(0.9, (0.8, 1.0)), Estimate(1.0, None, (0.9, 1.1))
    curves = {"logit_slope": Curve([], slope)}, {"logit_slope": Curve([(8, 1.1, None)], offset)}
    size = {"num_members": 16}
    figure = drawn(slope_over_members(*curves, **size, flags=["saturated", "heavy_tails"]))
    text = "\n".join(legend_of(figure))
    assert "population, do not quote" in text
    assert "95% interval over samples alone, all 16" in text
    assert figure.axes[0].containers[0].lines[0].get_linestyle() == ":"
    clean = drawn(slope_over_members(*curves, **size))
    assert "do not quote" not in "\n".join(legend_of(clean))


@pytest.mark.parametrize("flags", [(), ("saturated",)])
def test_a_flagged_line_is_dotted(flags):
    x = np.geomspace(1e-6, 1e-1, 50)
    line = Line("logit_slope", 0.9, 0.5, (0.8, 1.0), offset=Estimate(1.0, (0.5, 1.5)), flags=flags)
    panel = Panel("plug-in", x, x**0.9, [line, Line("ols", 1.0, 0.0)])
    size = {"num_members": 8, "num_classes": 3}
    axes = drawn(alignment_scatter([panel], np.full(50, True), **size)).axes[0]
    styles = {line.get_label(): line.get_linestyle() for line in axes.lines}
    (label,) = (text for text in styles if text.startswith("population"))
    assert styles[label] == (":" if flags else "-")
    assert ("do not quote" in label) == bool(flags)
    assert label.startswith("population: slope 0.900 (0.800 to 1.000)")


@pytest.mark.parametrize(("mean", "high"), [(2.0, 3.0), (2.0, 1e304), (1e6, 1e7)])
def test_the_geometric_mean_stands_in_the_histogram_of_ratios(mean, high):
    ratio, flags = np.geomspace(0.1, 5, 40), ["saturated"]
    found = Estimate(mean, (0.5, high))
    figure = ratio_histogram(ratio, np.full(40, True), found, num_members=8, flags=flags)
    axes = drawn(figure).axes[0]
    (label,) = (text for text in legend_of(figure) if text.startswith("population"))
    assert label.startswith("population: geometric mean ")
    assert label.endswith("do not quote")
    assert axes.get_xlim()[1] < 20  # whatever the population, the axes are those of the samples
    none = ratio_histogram(ratio, np.full(40, True), Estimate(None, reason="few"), num_members=8)
    assert not [text for text in legend_of(drawn(none)) if "population" in text]


def test_bins_of_confidence_hold_the_samples_that_were_binned():
    found = analysed(*aligned_ensemble(members=3, samples=120, sigma=6)).calibration
    figure = drawn(reliability(found.reliability, num_samples=found.num_samples))
    counts = [bar.get_height() for bar in figure.axes[1].patches]
    assert sum(counts) == found.num_samples == 120
    assert any("over samples" in text for text in legend_of(figure))
