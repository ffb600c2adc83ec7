"""Figures of a study: they draw what is measured, and say what an interval or a number lacks."""

import sys

import numpy as np
import pytest

from tests import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "lab"))

import plots
from matplotlib.colors import same_color
from verdicts import BOTH


def number(value, half=None, **more):
    if half is None:
        return {"value": value, "interval": None} | more
    return {"value": value, "interval": [value - half, value + half], "over": BOTH} | more


def test_a_number_shows_what_its_interval_is_over_and_that_it_must_not_be_quoted():
    runs = {
        "whole": {"slope": number(1.0, 0.1)},
        "part": {"slope": number(1.2, 0.1, over="samples")},
        "flagged": {"slope": number(0.5, 0.1, flags=["saturated"])},
        "none": {"slope": number(None, reason="few")},
        "exact": {"slope": number(0.9)},
    }
    claims = [{"number": "slope", "within": [0.9, 1.1]}]
    figure = plots.numbers(["slope"], runs, claims)
    (axes,) = (axes for axes in figure.axes if axes.axison)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["whole", "part", "flagged", "exact"]
    bars = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert [bar.get_linestyle() for bar in bars] == ["-", ":", "-"]
    points = [line for line in axes.lines if len(line.get_xdata()) == 1]
    hollow = [same_color(point.get_markerfacecolor(), "white") for point in points]
    assert hollow == [False, False, True, False]


def sizes(**more):
    runs = {f"mlp-depth-{size}": {} for size in (0, 2, 10)}
    for name in runs:
        means = {f"mean.{key}": number(0.1, 0.01) for key in ("risk", "bias_sq_unbiased")}
        runs[name] = means | {"mean.variance_unbiased": number(0.05), "accuracy": number(0.9, 0.02)}
        runs[name] |= more
    summaries = {name: {"num_samples": 100, "num_members": 4} for name in runs}
    assert plots.sizes("cnn-width", "channels", runs, summaries) is None
    return plots.sizes("mlp-depth", "hidden layers", runs, summaries)


def bar(axes):
    """Ends of the first error bar."""
    return axes.containers[0].lines[2][0].get_segments()[0][:, 1]


def test_grids_are_drawn_over_their_size():
    left, right = sizes(accuracy=number(0.9, 0.02) | {"interval": [0.86, 0.92]}).axes
    assert left.get_xlabel() == "hidden layers + 1; N = 100, M = 4 (log scale)"
    assert [label.get_text() for label in right.get_xticklabels()] == ["1", "3", "11"]
    assert bar(right) == pytest.approx([0.08, 0.14])


def test_no_bar_leaves_out_members():
    _, right = sizes(accuracy=number(0.9, 0.02, over="samples")).axes
    assert np.ptp(bar(right)) == 0


def test_numbers_of_grids_are_drawn_over_their_values():
    flagged = {"flags": ["saturated"]}
    runs = {"a-2": number(1.0, 0.1), "a-10": number(0.5, 0.1) | flagged, "b-1": number(3.0)}
    measured = {name: {"offset": found, "slope": number(1.0)} for name, found in runs.items()}
    slope, offset = plots.over("epochs", ["a", "b"], ["slope", "offset"], measured).axes
    line, *marks = offset.get_lines()
    assert np.array_equal(line.get_xydata(), [[2, 1.0], [10, 0.5]])
    assert marks[1].get_ydata() == pytest.approx([0.9, 1.1])
    assert [mark.get_markerfacecolor() == "white" for mark in marks[::2]] == [False, True]
    assert [text.get_text() for text in slope.get_legend().get_texts()] == ["a"]
    assert plots.over("epochs", ["b"], ["slope"], measured) is None


def test_curves_have_a_panel_for_each_pattern_that_has_any():
    points = [{"x": 1, "y": 2.0, "error": None}, {"x": 2, "y": 1.0, "error": 0.1}]
    measured = {"r: nc1": points, "r: nc2": points, "s: nc1": points}
    figure = plots.curves({"*: nc1": "epoch", "*: slope": "members"}, measured)
    assert [axes.get_xlabel() for axes in figure.axes] == ["epoch"]
    assert figure.axes[0].get_title() == "nc1"
    assert plots.curves({"*: slope": "members"}, measured) is None
