"""Figures that compare runs, also where numbers are missing."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color

from bvalign.analysis.intervals import Estimate
from bvalign.show.figures.runs import PairedDifference, RunSlopes, paired_differences, slopes
from bvalign.show.figures.style import CORRECT, FIT, HALO

WHOLE = Estimate(0.8, (0.7, 0.9), (0.75, 0.85), (0.72, 0.88))
ALONE_OVER_SAMPLES = Estimate(0.9, None, (0.85, 0.95))
NONE = Estimate(None, reason="few")


def drawn(figure):
    """Draws for real, as only then warnings of empty legends and broken limits come."""
    FigureCanvasAgg(figure).draw()
    return figure


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_slope_and_offset_of_every_run_stand_side_by_side():
    runs = {
        "whole": RunSlopes(WHOLE, Estimate(-0.5, (-0.6, -0.4)), WHOLE, flagged=False),
        "flagged": RunSlopes(WHOLE, Estimate(-0.5, (-0.6, -0.4)), WHOLE, flagged=True),
        "old": RunSlopes(NONE, NONE, ALONE_OVER_SAMPLES, flagged=False),
    }
    figure = drawn(slopes(runs))
    left, right = figure.axes
    assert left.get_xlabel().startswith("slope of log variance")
    assert right.get_xlabel().startswith("offset")
    assert [text.get_text() for text in left.get_yticklabels()] == ["whole", "flagged", "old"]
    assert "flagged: do not quote" in legend(figure)
    assert "over samples alone" in legend(figure)
    markers = [line for line in right.lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() for line in markers] == [FIT, HALO]
    (old,) = [line for line in left.lines if list(line.get_xdata()) == [0.85, 0.95]][1:]
    assert old.get_linestyle() == "--"
    only = drawn(slopes({"old": runs["old"]}))
    assert len(only.axes) == 1  # no run has an offset
    assert "flagged: do not quote" not in legend(only)


def test_differences_have_their_interval_and_the_shares_of_its_variance():
    found = {
        "Δ accuracy": PairedDifference(WHOLE, True, (0.5, 0.25, 0.25)),
        "Δ risk": PairedDifference(ALONE_OVER_SAMPLES, True, ()),
        "Δ slope": PairedDifference(NONE, False, ()),
        "Δ offset": PairedDifference(Estimate(0.0, (-1.0, 1.0)), False, (1.0, 0.0, 0.0)),
    }
    figure = drawn(paired_differences({"a − b": found}))
    assert len(figure.axes) == 8
    accuracy, shares = figure.axes[:2]
    assert accuracy.get_xlabel() == "Δ accuracy"
    assert [patch.get_width() for patch in shares.patches] == [0.5, 0.25, 0.25]
    assert same_color(accuracy.lines[0].get_color(), CORRECT)
    assert not figure.axes[3].patches  # the members' part is unknown
    assert "over samples alone" in legend(figure)
