"""Charts of decisions: what stands where, and with which interval."""

import pytest

from bvalign.decisions import Chart, Curve
from bvalign.show.figures.charts import chart
from bvalign.show.figures.style import BOUND, CORRECT

LINE = Curve("risk", (1, 2, 4), (0.3, 0.2, 0.15), (0.2, 0.1, 0.1), (0.4, 0.3, 0.2))
LIMIT = Curve("limit", (1, 4), (0.1, 0.1), style="dashed")
POINTS = Curve("", (0.1, 0.3), (0, 1), (0.0, 0.2), (0.2, 0.4), "points")


def test_a_line_has_a_band_and_a_limit_is_grey():
    axes = chart(Chart((LINE, LIMIT), "members", "risk", log_x=True)).axes[0]
    line, limit = axes.lines
    assert (line.get_color(), limit.get_color()) == (CORRECT, BOUND)
    assert line.get_ydata().tolist() == [0.3, 0.2, 0.15]
    band = axes.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in band} >= {(1, 0.2), (2, 0.3), (4, 0.1)}
    assert axes.get_xscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("members", "risk")
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["risk", "limit"]


def test_named_points_have_horizontal_intervals_from_the_top():
    axes = chart(Chart((POINTS,), "error rate", "", ticks=("one", "two"))).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
    first, second = axes.collections[0].get_segments()
    assert first.tolist() == [[0.0, 0], [0.2, 0]]
    assert second.tolist() == [[0.2, 1], [0.4, 1]]
    assert axes.yaxis_inverted()
    assert not axes.figure.legends


def test_a_chart_of_many_names_is_higher():
    names = tuple(map(str, range(30)))
    few, many = (
        chart(Chart((POINTS,), "x", "", ticks=ticks)).get_figheight()
        for ticks in (names[:2], names)
    )
    assert many == pytest.approx(33 * 2.1 * 10 / 72)
    assert few == pytest.approx(0.62 * 0.72 * 6.4)
