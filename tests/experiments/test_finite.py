"""Estimates over the number of members: predictions of means, and how far slopes still move."""

import sys

import pytest
from scipy.stats import t

from tests import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "lab"))

import finite

BIAS_SQ, VARIANCE = 0.2, 0.1


def row(estimator, number, members, mean, spread, draws):
    keys = ("estimator", "number", "members", "mean", "spread", "draws")
    return dict(zip(keys, (estimator, number, members, mean, spread, draws), strict=True))


def summary(num_members=32, flags=(), slope=0.9):
    """A summary whose means are b + v/M and v (1 - 1/M), and 10% above at a quarter of M."""
    rows = []
    for divisor, factor in ((4, 1.1), (2, 1.0), (1, 1.0)):
        m, draws = num_members // divisor, divisor
        spread = 0.02 if draws > 1 else None
        rows += [
            row("mean", "bias_sq", m, factor * (BIAS_SQ + VARIANCE / m), spread, draws),
            row("mean", "variance", m, VARIANCE * (1 - 1 / m), spread, draws),
            row("ols", "slope", m, 1 + 1 / m, spread, draws),
        ]
        if divisor > 1 or slope:
            at = slope if divisor == 1 else 0.8
            rows.append(row("logit_slope", "slope", m, at, 2 * spread if spread else None, draws))
            rows.append(row("logit_slope", "offset", m, -1.0, spread, draws))
    return {
        "num_members": num_members,
        "alignment": {"logit_slope": {"flags": list(flags)}},
        "alignment_over_members": rows,
    }


@pytest.fixture(autouse=True)
def _no_simulation(monkeypatch):
    monkeypatch.setattr(finite, "_simulated_slopes", lambda path, sizes: [])


def of_run(content):
    found = finite.finite_members({"r": None}, {"r": content})
    return found.rows["r"], found.curves


def test_means_are_held_against_their_prediction_at_the_worst_size():
    rows, _ = of_run(summary())
    error = rows["finite.mean_error"]
    assert error["value"] == pytest.approx(0.1)
    predicted = BIAS_SQ + VARIANCE / 8
    half = t.ppf(0.975, 3) * 0.02 / 2 / predicted  # four ensembles of eight members
    assert error["interval"] == pytest.approx([0.1 - half, 0.1 + half])
    assert error["over"] == "disjoint ensembles"


def test_the_slope_of_all_members_is_held_against_that_of_quarters():
    rows, curves = of_run(summary())
    assert rows["drift.logit_slope"]["value"] == pytest.approx(0.1)
    half = t.ppf(0.975, 3) * 0.04 / 2
    assert rows["drift.logit_slope"]["interval"] == pytest.approx([0.1 - half, 0.1 + half])
    assert rows["drift.ols"]["value"] == pytest.approx(1 / 32 - 1 / 8)
    assert "flags" not in rows["drift.logit_slope"]
    assert [point["x"] for point in curves["r: logit_slope slope"]] == [8, 16, 32]
    assert len(curves["r: logit_slope offset"]) == 3


def test_reasons_not_to_quote_the_slope_hold_for_its_drift():
    rows, curves = of_run(summary(flags=["saturated"]))
    assert rows["drift.logit_slope"]["flags"] == ["saturated"]
    assert "flags" not in rows["drift.ols"]
    named = {"r: logit_slope (do not quote) slope", "r: logit_slope (do not quote) offset"}
    assert {name for name in curves if "logit_slope" in name} == named


def test_a_single_ensemble_is_no_evidence():
    content = summary()
    for entry in content["alignment_over_members"]:
        entry |= {"draws": 1, "spread": None}
    rows, _ = of_run(content)
    assert rows == {}


def test_without_a_population_slope_only_the_paper_s_drifts():
    rows, curves = of_run(summary(slope=None))
    assert "drift.logit_slope" not in rows
    assert "drift.ols" in rows
    assert [point["x"] for point in curves["r: logit_slope slope"]] == [8, 16]


def test_one_member_has_nothing_to_predict():
    content = summary()
    content["num_members"] = 1
    content["alignment_over_members"] = [row("mean", "bias_sq", 1, 0.3, None, 1)]
    assert finite.finite_members({"r": None}, {"r": content}).rows == {}
