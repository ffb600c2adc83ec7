"""When to abstain: the whole answer, its words, the rule applied, and input without much to say."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bvalign.decisions import when_to_abstain
from bvalign.decisions.abstain.question import _halves
from bvalign.decisions.rules import apply_rule
from bvalign.show.report.decide import cards
from bvalign.show.report.summary_json import plain
from tests.analysed import analysed, estimates
from tests.ensembles import mixed_ensemble, predictions_of, random_ensemble


@pytest.fixture(scope="module")
def ensemble():
    return mixed_ensemble(members=6, samples=600)


@pytest.fixture(scope="module")
def answer(ensemble):
    return when_to_abstain(analysed(*ensemble))


def rule_of(answer):
    return json.loads(json.dumps(plain(answer.files()["abstain.json"])))


def test_the_promise_is_on_the_card(answer):
    found, card = answer.found, answer.card()
    assert found.max_error == pytest.approx(found.error.value / 2, rel=0.5)
    assert card.number.interval[0] < card.number.value < card.number.interval[1]
    assert card.number.value == pytest.approx(found.threshold.accepted / 300, abs=1e-12)
    assert f"with 95% confidence, at most {100 * found.max_error:.2g}% of them" in card.answer
    at = found.threshold
    assert f"Of the {at.accepted} accepted here, {at.wrong} w" in card.answer
    assert "confidence of one member" in card.baseline
    assert card.beside == "abstain.json"
    assert len(card.chart.curves[0].x) == 25
    assert cards({"abstain": answer})["abstain"]["doubt"] == found.choice.name
    for name, number in estimates(found):
        low, high = number.quoted_interval
        assert low <= number.value <= high, name


def test_intervals_are_over_samples_and_members(answer):
    for name, scores in answer.found.scores.items():
        number = scores["augrc"]
        assert number.variances.groups == 6, name
        assert number.variances.members > 0, name


def test_the_rule_says_of_the_same_predictions_what_the_table_says(ensemble, answer):
    logits, target = ensemble
    columns, said = apply_rule(
        rule_of(answer) | {"members": list(range(6))}, predictions_of(*ensemble)
    )
    accepted = answer.columns()["accepted"].values
    assert torch.equal(columns["accepted"].values, accepted)
    wrong = logits.softmax(dim=-1).mean(dim=0).argmax(dim=-1) != target
    assert torch.equal(columns["prediction"].values != columns["label"].values, wrong)
    assert list(columns) == ["prediction", "doubt", "accepted", "label"]
    assert said[0].startswith(f"accepted: {100 * accepted.double().mean():.1f}% (")
    assert f"wrong among them: {100 * wrong[accepted].double().mean():.2g}% (" in said[1]
    unlabelled, said = apply_rule(rule_of(answer), predictions_of(logits))
    assert torch.equal(unlabelled["accepted"].values, accepted)
    assert len(said) == 1


def test_a_broken_promise_is_said(ensemble, answer):
    logits, target = ensemble
    said = apply_rule(rule_of(answer), predictions_of(logits, (target + 1) % 3)).said
    assert said[-1].endswith("does not hold here: are samples and members of the same kind?")


def test_other_members_are_a_warning_and_other_classes_an_error(ensemble, answer):
    logits, _ = ensemble
    rule = rule_of(answer) | {"members": list(range(6)), "data": {"class_names": ["a", "b", "c"]}}
    said = apply_rule(rule, predictions_of(logits[:4])).said[0]
    assert said.startswith("warning: 2 of the 6 members of the rule are missing (4, 5)")
    said = apply_rule(rule, predictions_of(logits, members=(0, 1, 2, 3, 4, "x"))).said[0]
    assert "1 of the 6 members are not in the rule (x)" in said
    with pytest.raises(ValueError, match="is for 3 classes, the predictions have 2"):
        apply_rule(rule, predictions_of(logits[..., :2]))
    names = ("a", "c", "b")
    with pytest.raises(ValueError, match="class 1 is 'c' in the predictions and 'b' in the rule"):
        apply_rule(rule, predictions_of(logits, class_names=names))


def test_where_the_class_tells_of_errors_the_combination_is_chosen():
    # a label of class 0 is class 1 half of the time, whatever the members say
    logits, target = mixed_ensemble(members=3, samples=1500)
    target = torch.where((target == 0) & (torch.rand(1500) < 0.5), 1, target)
    answer = when_to_abstain(analysed(logits, target))
    assert answer.found.choice.name == "combination"
    assert answer.found.gain.interval[1] < 0
    assert "fitted probability of an error ranks better" in answer.card().baseline
    rule = rule_of(answer)
    columns, _ = apply_rule(rule, predictions_of(logits))
    assert torch.equal(columns["accepted"].values, answer.columns()["accepted"].values)


def test_all_right_accepts_everything_and_says_how_sure():
    target = torch.randint(3, (200,))
    logits = 5.0 * torch.nn.functional.one_hot(target, 3).double() + torch.randn(4, 200, 3)
    logits.scatter_(-1, target.expand(4, -1).unsqueeze(-1), 20.0)
    answer = when_to_abstain(analysed(logits, target))
    words = answer.card().answer
    assert words == (
        "Accept every prediction: with 95% confidence, at most 6% are wrong; here 0 of 100 were, "
        "0% (95% CI 0% to 3.8%, over samples alone)."
    )
    assert rule_of(answer)["accept"] == "everything"
    assert answer.columns()["accepted"].values.all()
    columns, _ = apply_rule(rule_of(answer), predictions_of(logits))
    assert columns["accepted"].values.all()


def test_all_wrong_accepts_nothing():
    target = torch.randint(3, (200,))
    logits = 9.0 * torch.nn.functional.one_hot((target + 1) % 3, 3) + torch.randn(4, 200, 3)
    answer = when_to_abstain(analysed(logits, target))
    assert answer.card().answer.startswith("No threshold of the ")
    assert answer.card().number.reason == "no threshold reaches the wanted error"
    assert not answer.columns()["accepted"].values.any()
    with pytest.raises(ValueError, match="the rule accepts nothing: no threshold kept the error"):
        apply_rule(rule_of(answer), predictions_of(logits))


@pytest.mark.parametrize("members", [1, 2, 3])
def test_few_members(members):
    logits, target = mixed_ensemble(members=members, samples=300)
    answer = when_to_abstain(analysed(logits, target), 0.2)
    names = set(answer.found.scores) - {"combination"}
    assert ("variance" in names) == (members > 1)
    assert ("mutual_information" in answer.columns()) == (members > 1)
    for name in names:
        assert (answer.found.scores[name]["augrc"].interval is None) == (members < 3)
    assert answer.card().answer.count("samples alone") == (2 if members < 3 else 0)


def votes():
    logits = torch.full((5, 300, 3), -torch.inf)
    logits.scatter_(-1, torch.randint(3, (5, 300, 1)) % 2, 0.0)
    return logits, torch.zeros(300).long()


def options():
    logits, target = random_ensemble(members=4, samples=200, classes=4)
    number = torch.randint(2, 5, (200,))
    logits[:, torch.arange(4) >= number.unsqueeze(1)] = -torch.inf
    return logits, target % number


@pytest.mark.parametrize("make", [votes, options])
def test_votes_and_missing_options_have_finite_numbers(make):
    answer = when_to_abstain(analysed(*make()), 0.5)
    json.dumps(plain(cards({"abstain": answer})), allow_nan=False)
    for name, number in estimates(answer.found):
        assert number.value is None or math.isfinite(number.value), name


def test_soft_labels_are_named():
    logits, target = mixed_ensemble(members=3, samples=90)
    soft = 0.7 * torch.nn.functional.one_hot(target, 3).double() + 0.1
    answer = when_to_abstain(analysed(logits, target, soft=soft))
    assert "most probable one of the label" in answer.card().assumption


def test_clusters_stay_in_one_half_and_are_named():
    clusters = torch.arange(300) // 7
    halves = _halves(300, clusters)
    assert not set(clusters[halves.choose].tolist()) & set(clusters[halves.test].tolist())
    logits, target = mixed_ensemble(members=3, samples=300)
    answer = when_to_abstain(analysed(logits, target, clusters=clusters), 0.3)
    assert "no larger than the largest" in answer.card().assumption
    assert answer.found.error.variances.units < 30


def test_too_few_samples_and_wrong_wishes(ensemble):
    few = when_to_abstain(analysed(*random_ensemble(samples=39)))
    assert few.card().answer == "There is no rule: it needs 40 samples with labels."
    assert few.files() == few.summary() == {}
    one = when_to_abstain(analysed(*random_ensemble(samples=1)))
    assert one.card().number.value is None
    analysis = analysed(*random_ensemble(samples=39))
    for wish in (0.0, 1.0, -0.2, math.nan):
        with pytest.raises(ValueError, match=f"max_error must be between 0 and 1, got {wish}"):
            when_to_abstain(analysis, wish)
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, got 95.0"):
        when_to_abstain(analysis, 0.1, 95.0)


def test_kept_logits_of_some_samples_suffice_for_the_members(ensemble):
    analysis = analysed(*ensemble)
    half = torch.arange(0, 600, 2)
    kept = analysis.kept
    some = kept._replace(
        positions=kept.positions[half], logits=kept.logits[:, half], target=kept.target[half]
    )
    whole = when_to_abstain(analysis).found.scores["confidence"]["augrc"]
    part = when_to_abstain(replace(analysis, kept=some)).found.scores["confidence"]["augrc"]
    assert part.value == pytest.approx(whole.value, rel=1e-12)
    ratio = np.array(part.variances[2:4]) / np.array(whole.variances[2:4])
    assert (ratio > 0.4).all()
    assert (ratio < 2.5).all()
