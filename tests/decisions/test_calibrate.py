"""Calibration on held-out halves: known constants, another fit, rules, and what has no answer."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from bvalign.analysis.calibration import Scales, in_random_order, scaled_mean
from bvalign.decisions import calibrate_ensemble
from bvalign.decisions.rules import apply_rule
from bvalign.predictions import open_predictions
from tests.analysed import analysed


def ensemble(scale=(1.0, 1.0), *, members=6, samples=1500, seed=0):
    """Logits of members, and labels drawn from the probabilities with these scales."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(samples, 3, generator=generator).double()
    logits = logits + torch.randn(members, samples, 3, generator=generator)
    probs = scaled_mean(logits, Scales(*scale)).exp()
    return logits, torch.multinomial(probs, 1, generator=generator).squeeze(1)


def found(logits, target, **given):
    return calibrate_ensemble(analysed(logits, target, **given))


@cache
def two_constants(members=6):
    return found(*ensemble((0.4, 2.0), members=members))


def test_known_constants_are_found_and_win():
    decision = two_constants()
    assert decision.best == "two_constants"
    constants, _, change = decision.methods["two_constants"]
    for name, true in {"agree": 0.4, "disagree": 2.0}.items():
        low, high = constants[name].interval_samples
        assert low < true < high
        assert low < constants[name].value < high
    assert change.cross_entropy.interval_samples[1] < 0
    assert decision.best_minus_next.interval_samples[1] < 0
    card = decision.card()
    assert card.number == change.cross_entropy
    agree = constants["agree"].value
    assert f"what the members agree on by {agree:.3g} " in card.answer
    assert card.answer.endswith("to one that cannot be told from zero.")
    assert card.chart.ticks[-1] == "two constants"
    assert ": better, by -0.0" in card.baseline


def test_samples_are_judged_with_the_constants_of_the_other_half():
    logits, target = ensemble((0.5, 0.5), samples=401)
    decision = found(logits, target)
    halves = in_random_order(401, None).tensor_split(2)
    total, logs = 0.0, []
    for fit, judge in (halves, halves[::-1]):

        def loss(log_t, rows, prior=0):
            p = (logits[:, rows] / np.exp(log_t)).softmax(dim=-1).mean(dim=0)
            nll = -p[torch.arange(len(rows)), target[rows]].log()
            return float(nll.mean() if prior else nll.sum()) + prior * log_t**2

        best = minimize_scalar(loss, (0, 1), args=(fit, 1 / len(fit)), tol=1e-9).x
        total += loss(best, judge)
        logs.append(best)
    method = decision.methods["members"]
    assert method.after.cross_entropy.value == pytest.approx(total / 401, rel=1e-4)
    assert method.constants["temperature"].value == pytest.approx(np.exp(np.mean(logs)), rel=1e-3)
    plain = logits.softmax(dim=-1).mean(dim=0)
    one_hot = torch.nn.functional.one_hot(target, 3)
    brier = (plain - one_hot).square().sum(dim=-1).mean()
    assert decision.before.brier.value == pytest.approx(float(brier))
    value, error = (losses.squared_calibration_error.value for losses in method[1:])
    assert value - error == pytest.approx(decision.before.squared_calibration_error.value)


def test_calibrated_members_gain_nothing():
    decision = found(*ensemble())
    assert abs(decision.card().number.value) < 0.004
    if decision.best is None:
        assert decision.card().answer.startswith("Leave the probabilities as they are")
        assert decision.files() == {}


def test_clusters_widen_intervals():
    logits, target = ensemble((0.6, 0.6), samples=40)
    logits, target = logits.repeat_interleave(10, dim=1), target.repeat_interleave(10)
    clusters = torch.arange(40).repeat_interleave(10)
    alone, together = (found(logits, target, clusters=c) for c in (None, clusters))
    widths = [
        np.ptp(decision.methods["mean"].change.cross_entropy.interval_samples)
        for decision in (alone, together)
    ]
    assert widths[1] > 2.5 * widths[0]


def test_one_member_has_one_temperature():
    decision = found(*ensemble((0.5, 0.5), members=1))
    assert list(decision.methods) == ["mean"]
    assert decision.methods["mean"].constants["temperature"].value == pytest.approx(2, rel=0.15)


def test_all_right_and_few_options():
    logits, _ = ensemble(samples=60)
    logits[:, ::2, 2] = -torch.inf
    target = logits.softmax(dim=-1).mean(dim=0).argmax(dim=-1)
    options = torch.tensor([2, 3]).repeat(30)
    decision = found(logits, target, num_options=options)
    assert decision.best is not None
    assert all(
        np.isfinite(losses.cross_entropy.value) for _, losses, _ in decision.methods.values()
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("votes", "votes have no probabilities to scale"),
        ("zero", "some members give probabilities of exactly zero, which no constant changes"),
        ("few", "19 samples are too few, it takes 20"),
        ("soft", "labels are soft"),
    ],
)
def test_what_has_no_answer_says_why(change, reason):
    logits, target = ensemble(samples=19 if change == "few" else 40)
    soft = None
    if change == "votes":
        votes = torch.nn.functional.one_hot(logits.argmax(dim=-1), 3)
        logits = torch.where(votes == 1, 0.0, -torch.inf)
    elif change == "zero":
        logits[0, 3, 0] = -torch.inf
        target[3] = 1
    elif change == "soft":
        soft = 0.2 + 0.4 * torch.nn.functional.one_hot(target, 3).double()
    decision = found(logits, target, soft=soft)
    card = decision.card()
    assert card.answer.startswith(f"No answer: {reason}")
    assert card.number.value is None
    assert card.chart is None
    assert decision.files() == {}


@pytest.mark.parametrize("members", [1, 6])
def test_a_rule_calibrates_new_predictions(members):
    decision = two_constants(members)
    rule = json.loads(json.dumps(decision.files()["calibrate.json"]))
    logits, target = ensemble((0.4, 2.0), members=members, seed=1)
    predictions, _ = open_predictions({"logits": logits.numpy(), "labels": target.numpy()})
    columns, said = apply_rule(rule, predictions)
    probs = torch.stack([columns[f"p{k}"].values for k in range(3)], dim=1)
    if members == 1:
        expected = (logits[0] / rule["temperature"]).softmax(dim=-1)
    else:
        centre = logits.mean(dim=0)
        scaled = rule["agree"] * centre + rule["disagree"] * (logits - centre)
        expected = scaled.softmax(dim=-1).mean(dim=0)
    np.testing.assert_allclose(probs, expected, rtol=1e-9)
    assert (columns["prediction"].values == probs.argmax(dim=-1)).all()
    loss = -probs[torch.arange(1500), target].log().mean()
    assert said[-1].endswith(f", {loss:.4f} after")
    assert loss < decision.before.cross_entropy.value


def test_rules_that_do_not_fit_are_refused():
    logits, _ = ensemble(samples=30)
    rule = {"kind": "calibrate", "num_classes": 3, "method": "members", "temperature": -1.0}
    with pytest.raises(ValueError, match=r"temperature.*got 'members' and \[-1.0\]"):
        apply_rule(rule, open_predictions({"logits": logits.numpy()})[0])
    votes = open_predictions({"votes": logits.argmax(dim=-1).numpy()})[0]
    with pytest.raises(ValueError, match="cannot be calibrated: votes"):
        apply_rule(rule | {"temperature": 2.0}, votes)
