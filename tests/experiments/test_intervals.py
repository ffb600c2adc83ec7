"""Numbers of a study with their intervals: none is lost, invented or wider than it says."""

import doctest
import sys

import numpy as np
import pytest
import torch
from scipy.stats import t

from tests import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "lab"))

import intervals
from verdicts import BOTH

ESTIMATE = {
    "value": 1.0,
    "interval": [0.0, 2.0],
    "interval_samples": [0.5, 1.5],
    "interval_members": [0.4, 1.6],
    "reason": None,
}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {"value": 1.0, "interval": [0.0, 2.0], "over": BOTH}),
        ({"interval": None}, {"value": 1.0, "interval": [0.5, 1.5], "over": "samples"}),
        ({"interval": None, "interval_samples": None}, {"value": 1.0, "interval": None}),
        ({"value": None, "reason": "few"}, {"value": None, "interval": None, "reason": "few"}),
    ],
)
def test_a_number_of_the_summary_says_what_its_interval_is_over(more, expected):
    assert intervals.quoted(ESTIMATE | more) == expected
    flags = {"flags": ["rare"]} if expected["value"] else {}
    assert intervals.quoted(ESTIMATE | more, ["rare"]) == expected | flags


def test_doctests():
    assert doctest.testmod(intervals).failed == 0


def test_a_mean_of_few_has_an_interval_of_student():
    values = torch.tensor([1.0, 2.0, 4.0, 9.0])
    found = intervals.mean(values, "members")
    half = t.ppf(0.975, 3) * float(values.std()) / 2
    assert found["value"] == 4.0
    assert found["interval"] == pytest.approx([4 - half, 4 + half])
    assert found["over"] == "members"


def test_one_value_has_no_interval():
    assert intervals.mean(torch.tensor([3.0]), "members") == {"value": 3.0, "interval": None}
    assert intervals.around(3.0, float("nan"), 5, "bins") == {"value": 3.0, "interval": None}
    assert intervals.around(float("nan"), 1.0, 5, "bins") == {"value": None, "interval": None}


def test_bootstrap_weights_are_the_estimate_and_resamples():
    weights = intervals.bootstrap_weights(50, 0)
    assert weights.shape == (intervals.NUM_BOOTSTRAP + 1, 50)
    assert weights[0].eq(1).all()
    assert weights.sum(dim=1).eq(50).all()
    # a count of Binomial(50, 1/50) has variance 0.98; four standard errors over 10,000 counts
    assert float(weights[1:].var()) == pytest.approx(0.98, abs=0.08)


def test_a_bootstrap_covers_samples_alone_and_hides_nothing_undefined():
    values = np.random.default_rng(0).standard_normal(400)
    found = intervals.resampled(np.mean, values)
    half = (found["interval"][1] - found["interval"][0]) / 2
    assert half == pytest.approx(1.96 * values.std() / 20, rel=0.2)
    assert found["over"] == "samples"
    nan = torch.tensor([1.0, float("nan"), 2.0], dtype=torch.float64)
    assert intervals.bootstrapped(nan) == {"value": 1.0, "interval": None}


def test_a_jackknife_in_two_directions_is_an_analysis_of_variance():
    g, j = 5, 4
    values = np.random.default_rng(0).standard_normal((g, j)) + np.arange(j) + 2 * np.eye(g, j)
    everything = np.ones(g, dtype=bool), np.ones(j, dtype=bool)

    def without(axis, out):
        keep = everything[axis].copy()
        keep[out - 1 : out] = False  # none for 0
        return keep

    means = [
        [values[np.ix_(without(0, a), without(1, b))].mean() for b in range(j + 1)]
        for a in range(g + 1)
    ]
    found = intervals.crossed(values.mean(), torch.tensor(means))
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    residual = values - rows[:, None] - columns + values.mean()
    both = (residual**2).sum() / ((g - 1) * (j - 1)) / (g * j)
    spread = intervals.Spread(columns.var(ddof=1) / j, j, rows.var(ddof=1) / g, both, g)
    expected = intervals.estimate(values.mean(), spread)
    assert found["over"] == BOTH
    assert found["interval"] == pytest.approx(expected.interval)
    assert intervals.crossed(1.0, torch.full((3, 3), torch.nan)) == intervals.exact(1.0)
