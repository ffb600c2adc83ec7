"""Average precision and precision of rankings, with resamples, against scikit-learn and by hand."""

import sys

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tests import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "decisions"))

import measure_wrong_labels as measured

SCORE = np.random.default_rng(0).normal(size=60)
WRONG = SCORE + np.random.default_rng(1).normal(size=60) > 1


def test_average_precision_is_that_of_scikit_learn():
    once = np.ones((1, 60), dtype=int)
    (found,) = measured._average_precision(SCORE, WRONG, once)
    assert found == pytest.approx(average_precision_score(WRONG, SCORE), rel=1e-12)


def test_a_resample_repeats_samples():
    draws = measured._draws(60, 3)
    found = measured._average_precision(SCORE, WRONG, draws)
    for times, value in zip(draws, found, strict=True):
        given = (np.repeat(part, times) for part in (WRONG, SCORE))
        assert value == pytest.approx(average_precision_score(*given), abs=0.02)  # ties in a row


def test_precision_among_as_many_as_are_wrong():
    wrong, score = np.array([True, False, True, False]), np.array([4.0, 3, 2, 1])
    once = np.ones((1, 4), dtype=int)
    assert measured._precision(score, wrong, once).tolist() == [0.5]


def test_a_ranking_below_the_best_misses_the_goal():
    differences = {"a": (0.02, 0.01, 0.03), "b": (0.01, -0.01, 0.02), "c": (-0.004, -0.01, 0.002)}
    sets = {
        name: {"difference": {"value": value, "interval": ends}}
        for name, (value, *ends) in differences.items()
    }
    every, most = measured.goals({"sets": sets})
    assert every.reached is False
    assert every.measured == "below on 1 of 3, by at most 0.004 (c; beyond its interval on 0)"
    assert most.reached is True
