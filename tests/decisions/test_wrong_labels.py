"""Which labels are wrong: probabilities that hold, rankings, words, input without an answer."""

import math
from importlib import import_module

import numpy as np
import pytest
import torch

from bvalign.decisions.wrong_labels import wrong_labels
from tests.analysed import analysed
from tests.decisions.noisy_data import next_class, noisy_analysis, noisy_data, symmetric


def average_precision(score, wrong):
    hits = wrong[np.argsort(-np.asarray(score), kind="stable")]
    return (np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean()


SIZE = 2000
module = import_module("bvalign.decisions.wrong_labels")  # its function has the same name


@pytest.fixture(scope="module")
def analysed_once():
    return noisy_analysis(samples=SIZE, members=3, noise=symmetric(6, 0.1))


@pytest.fixture(scope="module")
def found(analysed_once):
    return wrong_labels(analysed_once[0]), analysed_once[1].numpy()


def test_probabilities_hold(found):
    answer, wrong = found
    score = answer.wrong.numpy()
    low, high = answer.number.interval_samples
    assert low < wrong.sum() < high
    for least, most in ((0, 0.05), (0.05, 0.35), (0.35, 0.65), (0.65, 0.95), (0.95, 1)):
        chosen = (score >= least) & (score <= most)
        expected, number = score[chosen].mean(), chosen.sum()
        error = math.sqrt(expected * (1 - expected) / number)
        assert wrong[chosen].mean() == pytest.approx(expected, abs=4 * error + 0.03)


def test_the_suggested_class_is_that_of_the_members_and_never_the_label(found):
    answer, wrong = found
    assert (answer.suggested != answer.label).all()
    sure = (answer.wrong > 0.95).numpy()
    _, true, _ = noisy_data(samples=SIZE, members=3, noise=symmetric(6, 0.1))
    assert (answer.suggested[sure & wrong] == true[sure & wrong]).double().mean() > 0.9


def test_mistakes_that_fall_on_one_class_are_found_better_than_by_loss():
    analysis, wrong = noisy_analysis(samples=1000, members=3, noise=next_class(6, 0.15), margin=2.0)
    answer, loss = wrong_labels(analysis), np.empty(1000)
    loss[answer.by_loss.numpy()] = -np.arange(1000)
    ours, plain = (average_precision(s, wrong.numpy()) for s in (answer.wrong, loss))
    assert ours > plain + 0.02


def test_the_card_says_numbers_that_belong_together(found):
    answer, _ = found
    card, summary = answer.card(), answer.summary()
    assert card.number.value == pytest.approx(float(answer.wrong.sum()))
    assert f"{card.number.value:,.0f} of 2,000 labels" in card.answer
    assert card.beside == "review.html"
    assert summary["share"].value == pytest.approx(card.number.value / SIZE)
    assert summary["reviewed"] == len(answer.suspicious()) <= 300
    first = summary["most_suspicious"][0]
    assert first["wrong_label"] == float(answer.wrong.max())
    assert first["label"] != first["suggested_label"]
    posterior, by_loss = card.chart.curves
    assert all(a >= b - 1e-12 for a, b in zip(posterior.y, by_loss.y, strict=True))
    assert {n: len(c.values) for n, c in answer.columns().items()} == {
        "wrong_label": SIZE,
        "suggested_label": SIZE,
    }
    for low, value, high in [
        (*share.interval_samples[:1], share.value, share.interval_samples[1])
        for share in summary["explained"].values()
    ]:
        assert answer.share.interval_samples[0] <= low <= value <= high


def test_constants_from_some_samples_serve_all(monkeypatch, analysed_once, found):
    module = import_module("bvalign.decisions.wrong_labels")  # beside the function of that name
    monkeypatch.setattr(module, "FITTED", 1000)
    monkeypatch.setattr(module, "PIECE", 700)
    fewer = wrong_labels(analysed_once[0])
    assert fewer.share.value == pytest.approx(found[0].share.value, rel=0.1)
    assert len(fewer.wrong) == SIZE


def test_clusters_widen_the_interval():
    logits, true, label = noisy_data(samples=100, noise=symmetric(6, 0.3))
    order = (true == label).int().argsort()  # alike samples together
    logits, label = (
        part[..., order, :] if part.dim() == 3 else part[order] for part in (logits, label)
    )
    alone, together = (
        wrong_labels(analysed(logits, label, clusters=given)).share
        for given in (None, torch.arange(100) // 10)
    )
    assert alone.value == together.value
    assert alone.interval_samples[1] < together.interval_samples[1]


def test_nothing_suspicious_is_said():
    logits, true, _ = noisy_data(samples=100, noise=np.eye(6))
    answer = wrong_labels(analysed(logits + 60 * torch.eye(6)[true], true))
    assert answer.card().answer.startswith("No label looks wrong: an estimated 0 of 100 are")
    assert answer.card().chart is None
    assert answer.card().beside == ""
    assert answer.summary()["most_suspicious"] == []


@pytest.mark.parametrize("kind", ["one member", "votes", "absent class", "options"])
def test_unusual_input_has_an_answer(kind):
    members = 1 if kind == "one member" else 3
    logits, _, label = noisy_data(samples=200, noise=symmetric(6, 0.1), members=members)
    given = {}
    if kind == "votes":
        votes = torch.nn.functional.one_hot(logits.argmax(dim=-1), 6).bool()
        logits = torch.where(votes, 0.0, -math.inf).double()
    if kind == "absent class":
        label[label == 5] = 0
    if kind == "options":
        label = label.clamp(max=3)
        given["num_options"] = torch.where(torch.arange(200) % 2 == 0, 4, 6)
        logits[:, ::2, 4:] = -math.inf
    answer = wrong_labels(analysed(logits, label, **given))
    assert answer.wrong.isfinite().all()
    assert 0 < answer.number.value < 100
    if kind == "options":
        assert list(answer.explained) == ["any_class"]
        assert (answer.suggested[::2] < 4).all()


def without_answer(kind):
    logits, _, label = noisy_data(samples=80, noise=symmetric(6, 0.1))
    if kind == "soft":
        soft = (torch.eye(6)[label] + 0.1).double() / 1.6
        return analysed(logits, label, soft=soft)
    if kind == "few":
        return analysed(logits[:, :20], label[:20])
    if kind == "many":
        return analysed(torch.randn(3, 60, 4100), torch.arange(60))
    wrong = (logits.softmax(dim=-1).mean(dim=0).argmax(dim=-1) + 1) % 6
    return analysed(logits, wrong)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("soft", "labels are soft"),
        ("few", "the model needs 50 samples, and there are 20"),
        ("many", "the model is tried up to 4,096 classes, and there are 4,100"),
        ("wrong", "the ensemble contradicts 80 of 80 labels, as many as by chance"),
    ],
)
def test_input_without_an_answer_says_why(kind, words):
    answer = wrong_labels(without_answer(kind))
    card = answer.card()
    assert card.answer.startswith(f"No answer: {words}")
    assert (card.number.value, card.chart, card.beside) == (None, None, "")
    assert answer.columns() == {}
    assert len(answer.suspicious()) == 0
    assert answer.summary()["share"].value is None
