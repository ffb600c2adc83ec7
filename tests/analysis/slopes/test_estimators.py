"""The registry of slope estimators: one object is all that a new one needs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bvalign.analysis.decompositions.squared_loss import decompose, moments
from bvalign.analysis.slopes.estimator import Estimator
from bvalign.analysis.slopes.estimators import ESTIMATORS
from bvalign.analysis.slopes.intervals import (
    Estimate,
    bootstrap_weights,
    estimate,
    stored_estimates,
)
from bvalign.analysis.slopes.lines import log_log_line
from bvalign.analysis.slopes.member_subsets import design
from bvalign.analysis.slopes.subset_values import subset_values
from bvalign.show.figures import samples as figures
from bvalign.show.report.summary_json import plain
from tests import reference
from tests.ensembles import aligned_ensemble, random_ensemble, save_npz


def through_origin(values, subset, weights):
    """The line of log variance on log bias_sq whose intercept is zero."""
    ((row, judge),) = subset.clouds
    keep = values.correct[judge]
    x, y = values.bias_sq(row)[keep].log(), values.variance(row)[keep].log()
    kept = weights[:, keep]
    return {"slope": kept @ (x * y) / (kept @ x**2), "level": kept @ (y - x) / kept.sum(dim=1)}


ADDED = Estimator(
    "through_origin",
    through_origin,
    ("slope", "level"),
    "a line through the origin & nothing else",
    least_members=5,
    least_members_as="as this test says",
    quoted=True,
    plotted=True,
)


def test_an_estimator_that_is_added_is_in_every_output(bvalign, monkeypatch, capsys):
    drawn, slope_over_members = {}, figures.slope_over_members

    def spy(curves, **more):
        drawn.update(curves)
        return slope_over_members(curves, **more)

    monkeypatch.setattr(figures, "slope_over_members", spy)
    monkeypatch.setitem(ESTIMATORS, ADDED.name, ADDED)
    logits, target = aligned_ensemble(members=12, samples=80)
    bvalign("analyze", save_npz(Path("p.npz"), logits, target), "--out", "out")

    d = decompose(moments(logits, target), target)
    x, y = (v[d.correct].log() for v in (d.bias_sq, d.variance))
    summary = json.loads(Path("out/summary.json").read_text())
    fit = summary["alignment"]["through_origin"]
    assert list(fit) == ["slope", "level", "samples"]
    assert fit["slope"]["value"] == pytest.approx(float((x * y).sum() / (x * x).sum()), rel=1e-9)
    assert fit["level"]["value"] == pytest.approx(float((y - x).mean()), rel=1e-9)
    assert fit["slope"]["interval"][0] < fit["slope"]["value"] < fit["slope"]["interval"][1]
    rows = [r for r in summary["alignment_over_members"] if r["estimator"] == "through_origin"]
    assert [(row["members"], row["number"]) for row in rows] == [
        (members, number) for members in (8, 12) for number in ("slope", "level")
    ]
    assert [row[0] for row in drawn["through_origin"]] == [8, 12]
    report = Path("out/report.html").read_text()
    assert '<span title="through_origin">a line through the origin &amp; nothing else' in report
    assert f">level {fit['level']['value']:.4g}</td>" in report
    assert f"slope through_origin: {fit['slope']['value']:.3f}, 95% [" in capsys.readouterr().out


def test_what_an_estimator_needs_is_its_reason():
    logits, target = aligned_ensemble(members=4, samples=40)
    plan = design(4, curve_draws=0)
    values = subset_values(logits, target, plan.sums, plan.error_rows)
    weights = bootstrap_weights(40, 0)
    slope = estimate(ADDED, values, plan, weights)["slope"]
    assert slope == Estimate(None, reason="needs 5 members, as this test says; there are 4")
    many = Estimator("many", through_origin, ("slope",), "", least_samples=41)
    expected = "needs 41 correct samples with variance above zero; there are 40"
    assert estimate(many, values, plan, weights)["slope"].reason == expected


def test_every_estimator_returns_its_numbers_and_has_its_name_and_sentence():
    logits, target = aligned_ensemble(members=12, samples=60)
    plan = design(12, curve_draws=0)
    values = subset_values(logits, target, plan.sums, plan.error_rows)
    for name, estimator in ESTIMATORS.items():
        fit = estimator.fit(values, plan.full, torch.ones(2, 60, dtype=torch.float64))
        assert estimator.name == name
        assert estimator.sentence
        assert tuple(fit) == estimator.numbers
        assert all(value.shape == (2,) for value in fit.values())


def test_the_quoted_interval_is_the_widest_that_there_is():
    both = Estimate(1.0, interval=(0.0, 2.0), interval_samples=(0.5, 1.5))
    assert both.quoted_interval == (0.0, 2.0)
    assert both._replace(interval=None).quoted_interval == (0.5, 1.5)
    assert Estimate(None, reason="few").quoted_interval is None


def test_estimates_are_read_back_from_a_summary():
    fits = {
        "ols": {"slope": Estimate(1.0, (0.0, 2.0), (0.5, 1.5)), "intercept": Estimate(0.5)},
        "slope_one": {"offset": Estimate(None, reason="needs two members")},
    }
    stored = {name: plain(numbers) | {"samples": 3} for name, numbers in fits.items()}
    assert stored_estimates(json.loads(json.dumps(stored))) == fits


def test_the_line_is_that_of_the_reference_over_what_has_logarithms():
    logits, target = random_ensemble(members=5, samples=60, scale=4)
    d = decompose(moments(logits, target), target)
    bias_sq, variance = d.bias_sq.clone(), d.variance.clone()
    bias_sq[:3], variance[3:6] = 0, 0
    kept = (d.correct & (torch.arange(60) > 5)).numpy()
    assert 3 < kept.sum() < 54
    expected = reference.line(np.log(bias_sq.numpy()[kept]), np.log(variance.numpy()[kept]))
    line = log_log_line(bias_sq, variance, d.correct)
    for key, value in zip(("slope", "intercept", "r_squared"), expected, strict=True):
        assert line[key].shape == (1,)
        assert line[key].item() == pytest.approx(value, rel=1e-10)
    counts = torch.stack([d.correct.double(), torch.ones(60).double()])
    weighted = log_log_line(bias_sq, variance, replicate_weights=counts)["slope"]
    everything = log_log_line(bias_sq, variance)["slope"]
    torch.testing.assert_close(weighted, torch.cat([line["slope"], everything]), rtol=1e-12, atol=0)


def test_a_line_of_nothing_is_undefined():
    none = torch.zeros(4, dtype=torch.float64)
    assert all(value.isnan().all() for value in log_log_line(none, none).values())
