"""Risk without labels: methods against plain loops, known truths, and what cannot be answered."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import ndtr, ndtri

from bvalign import analyze
from bvalign.analysis.given import Kept
from bvalign.decisions.without_labels import Check, Source
from bvalign.decisions.without_labels.choice import chosen
from bvalign.decisions.without_labels.learn import learn
from bvalign.decisions.without_labels.methods import WITH_SOURCE, estimates, labelled
from bvalign.decisions.without_labels.posterior import log_temperature, tempered, with_shares
from bvalign.decisions.without_labels.shift import shift_between
from bvalign.decisions.without_labels.spread import shift_scale, widened, with_chance
from bvalign.decisions.without_labels.values import QUANTITIES, sample_of, values_of
from bvalign.predictions import Groups
from tests.analysed import analysed

MEMBERS, CLASSES = 6, 4


def calibrated(samples, *, clear=2.0, shares=None, moved=0.0, seed=0, members=MEMBERS):
    """Members around a calibrated mean; with other class shares, or a class that is not seen."""
    rng = np.random.default_rng(seed)
    clean = clear * rng.standard_normal((4 * samples, CLASSES))
    labels = (clean + rng.gumbel(size=clean.shape)).argmax(axis=1)
    weights = np.ones(CLASSES) if shares is None else np.array(shares)
    rows = rng.choice(len(labels), samples, p=weights[labels] / weights[labels].sum())
    clean, labels = clean[rows], labels[rows]
    clean[:, 0] -= moved
    clean[:, 1] += moved / 2
    logits = clean + 0.8 * rng.standard_normal((members, samples, CLASSES))
    return Kept(torch.arange(samples), torch.from_numpy(logits), torch.from_numpy(labels))


def found_by(kept, target, held=0.0):
    return estimates(labelled(sample_of(kept)), values_of(sample_of(target)), held)


def truth(kept):
    return labelled(sample_of(kept)).mean


def test_methods_are_what_plain_loops_give():
    source, target = calibrated(300), calibrated(200, clear=1.2, seed=1)
    found = found_by(source, target)
    (ours, theirs), label = (k.logits.numpy() for k in (source, target)), source.target.numpy()
    votes = [z.argmax(axis=2) for z in (ours, theirs)]
    wrong = [np.mean(vote != label) for vote in votes[0]]
    pairs = [(a, b) for a in range(MEMBERS) for b in range(a)]
    apart = [np.mean([np.mean(v[a] != v[b]) for a, b in pairs]) for v in votes]
    probs = [np.exp(z) / np.exp(z).sum(axis=2, keepdims=True) for z in (ours, theirs)]
    assert found["disagreement"]["error_rate"] == pytest.approx(apart[1])
    assert found["scaled"]["error_rate"] == pytest.approx(apart[1] * np.mean(wrong) / apart[0])
    line = ndtr(ndtri(np.mean(wrong)) - ndtri(1 - apart[1]) + ndtri(1 - apart[0]))
    assert found["line"]["error_rate"] == pytest.approx(line)
    below = [
        np.mean(p.max(axis=1) < np.quantile(q.max(axis=1), e))
        for q, p, e in zip(*probs, wrong, strict=True)
    ]
    assert found["atc"]["error_rate"] == pytest.approx(np.mean(below))
    variance = [p.var(axis=0).sum(axis=1) for p in probs]
    bias_sq = np.square(probs[0].mean(axis=0) - np.eye(CLASSES)[label]).sum(axis=1).mean()
    expected = bias_sq * variance[1].mean() / variance[0].mean()
    assert found["scaled"]["bias_sq"] == pytest.approx(expected)
    edges = np.unique(np.quantile(variance[0], np.arange(1, 50) / 50))
    bins = [np.searchsorted(edges, v) for v in variance]
    errors = (votes[0] != label).mean(axis=0)
    expected = np.mean([errors[bins[0] == k].mean() for k in bins[1]])
    assert found["noise_model"]["error_rate"] == pytest.approx(expected)


def test_methods_with_a_source_are_exact_on_the_source_itself():
    source = calibrated(400)
    found, expected = found_by(source, source), truth(source)
    for method in WITH_SOURCE:
        for name, value in found[method].items():
            tolerance = 0.01 if method == "atc" else 1e-6
            assert value == pytest.approx(expected[name], abs=tolerance), (method, name)


def test_shares_are_held_by_weights_of_the_classes_alone():
    q = torch.softmax(torch.randn(50, 3, generator=torch.manual_seed(0)).double(), dim=1)
    shares = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    moved = with_shares(q, shares)
    torch.testing.assert_close(moved.mean(dim=0), shares, rtol=0, atol=1e-5)
    ratio = (moved / q).log()  # log w_k - log normalisation of the sample
    torch.testing.assert_close(ratio - ratio[:, :1], (ratio - ratio[:, :1])[:1].expand(50, 3))


def test_the_temperature_gives_the_error_asked_for():
    values = values_of(sample_of(calibrated(100)))
    for error in (0.3, 0.4, 0.6):
        q = tempered(values, log_temperature(values, error))
        assert 1 - float((q * values.shares).sum(dim=1).mean()) == pytest.approx(error, abs=1e-6)


@pytest.mark.parametrize("clear", [2.0, 1.5])
def test_numbers_of_a_calibrated_ensemble_are_found(clear):
    """Of as many members on other samples, as clear or less so; the interval holds the truth."""
    source, target = calibrated(2000), calibrated(2000, clear=clear, seed=1)
    found, expected = learn(target, [Source("source", source)]), truth(target)
    assert found.warning is None
    for name in QUANTITIES:
        number, method = found.recommended[name]
        assert method == "held_shares"
        assert number.value == pytest.approx(expected[name], rel=0.12), name
        assert number.interval[0] < expected[name] < number.interval[1], name


def test_other_class_shares_are_told_from_a_class_that_is_no_longer_seen():
    """Labels chosen by class leave each class as it is; the same shares by errors do not."""
    source = calibrated(2000)
    chosen_by_class = learn(calibrated(2000, shares=[1, 8, 4, 4], seed=1), [Source("s", source)])
    assert chosen_by_class.shift.like_label_shift
    assert chosen_by_class.warning is None
    target = calibrated(2000, moved=5.0, seed=1)
    unseen = learn(target, [Source("s", source)])
    assert not unseen.shift.like_label_shift
    assert "predicted class shares have moved" in unseen.warning
    error = truth(target)["error_rate"]
    rows = {name: unseen.rows[name]["error_rate"].value for name in ("held_shares", "scaled")}
    assert abs(rows["held_shares"] - error) < abs(rows["scaled"] - error) / 2
    number, _ = unseen.recommended["error_rate"]
    assert number.interval[0] < rows["scaled"] < error < number.interval[1]


def test_a_target_far_from_the_source_is_warned_of():
    found = learn(calibrated(1000, clear=0.4, seed=1), [Source("s", calibrated(1000))])
    assert found.shift.distance > 0.4
    assert "would have to be others" in found.warning


def test_distances_are_what_counting_gives():
    source, target = calibrated(400), calibrated(500, clear=1.0, seed=1)
    samples = [sample_of(k) for k in (source, target)]
    values = tuple(values_of(s) for s in samples)
    found = shift_between(*samples, values)
    means = [v.mean.numpy() for v in values]
    edges = np.quantile(means[0].max(axis=1), (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7))
    cells = [m.argmax(axis=1) * 8 + np.searchsorted(edges, m.max(axis=1)) for m in means]
    shares = [np.bincount(c, minlength=32) / len(c) for c in cells]
    assert found.distance == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)
    assert 0 < found.left <= found.distance + 0.02


def test_chance_is_that_of_samples_and_members():
    source, target = calibrated(2000), calibrated(1000, seed=1)
    samples = sample_of(source), sample_of(target)
    rows = with_chance(*samples, lambda ours, theirs, _: estimates(ours, theirs, 0.0))
    error = labelled(sample_of(source)).truth[0]
    spread = rows["source"]["error_rate"].variances
    assert spread.samples == pytest.approx(float(error.var()) / 2000, rel=0.9)
    rest = [[k for k in range(MEMBERS) if k != m] for m in range(MEMBERS)]
    of_members = [truth(source._replace(logits=source.logits[members])) for members in rest]
    values = np.array([found["error_rate"] for found in of_members])
    assert spread.members == pytest.approx((MEMBERS - 1) * values.var(), rel=1e-9)


def test_intervals_grow_with_distance_and_with_errors_elsewhere():
    none, near, far = (shift_scale(d, [], [])[0] for d in (0.0, 0.1, 0.3))
    assert (none, far) == (0, pytest.approx(3 * near))
    scale, freedom = shift_scale(0.1, [0.5, -0.5], [0.1, 0.1])
    assert (scale, freedom) == (pytest.approx(((4 * 0.07**2 + 0.5) / 6) ** 0.5), 6)
    assert shift_scale(0.2, [0.5], [0.1])[0] > shift_scale(0.1, [0.5], [0.1])[0]
    number = learn(calibrated(300, seed=1), [Source("s", calibrated(300))]).rows["scaled"]["risk"]
    assert widened(number, "risk", (0.0, 4)).interval == pytest.approx(number.interval)
    wider = widened(number, "risk", (0.5, 4)).interval
    assert wider[0] < number.interval[0] < number.interval[1] < wider[1]


def test_another_method_must_be_better_by_more_than_its_standard_error():
    def check(truth, scaled, held):
        guesses = {"scaled": {"risk": scaled}, "held_shares": {"risk": held}}
        return Check("", {"risk": truth}, guesses, 0.1, False)

    better = [check(t, t, 1.3 * t) for t in (0.1, 0.2, 0.3)]
    assert chosen(better, "risk", ["scaled", "held_shares"]) == "scaled"
    assert chosen(better[:2], "risk", ["scaled", "held_shares"]) == "held_shares"
    mixed = [check(0.1, 0.1, 0.2), check(0.2, 0.3, 0.2), check(0.3, 0.29, 0.3)]
    assert chosen(mixed, "risk", ["scaled", "held_shares"]) == "held_shares"


@pytest.mark.parametrize("shift", ["right", "wrong"])
def test_a_source_whose_answers_are_all_alike_teaches_nothing(shift):
    source = calibrated(50)
    votes = source.logits.mean(dim=0).argmax(dim=1)
    logits = torch.nn.functional.one_hot(votes, CLASSES).double().expand(MEMBERS, -1, -1)
    target = votes if shift == "right" else (votes + 1) % CLASSES
    found = learn(calibrated(50, seed=1), [Source("s", Kept(source.positions, logits, target))])
    assert found.recommended == {}
    assert f"every answer in the source is {shift}" in found.reason


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("samples", [1, 30])
def test_few_members_and_samples_give_what_they_can(members, samples):
    source = calibrated(200, members=members)
    found = learn(calibrated(samples, members=members, seed=1), [Source("s", source)])
    number, _ = found.recommended["error_rate"]
    assert 0 <= number.value <= 1
    assert number.interval is None
    if members == 1:
        assert found.rows["scaled"]["error_rate"].reason.startswith("needs two members")


def test_votes_and_classes_that_nobody_votes_for():
    source, target = calibrated(300), calibrated(200, seed=1)
    votes = [k.logits.argmax(dim=2).numpy() for k in (source, target)]
    votes[1][votes[1] == CLASSES - 1] = 0
    given = {"votes": votes[0], "labels": source.target.numpy()}
    answer = analyze({"votes": votes[1]}, sources={"test": given}).decisions["without_labels"]
    number, _ = answer.found.recommended["error_rate"]
    assert 0 < number.value < 1
    assert answer.numbers()["accuracy"]["recommended"]["value"] == pytest.approx(1 - number.value)


def test_without_a_source_nothing_is_recommended():
    analysis = analysed(calibrated(60).logits, None)
    answer = analyze(calibrated(60).logits).decisions["without_labels"]
    numbers = answer.numbers()
    for name in (*QUANTITIES, "accuracy", "ensemble_accuracy"):
        assert numbers[name]["recommended"] is None
        assert "--source" in numbers[name]["reason"]
    assert answer.rows["disagreement"]["error_rate"] == analysis.means["disagreement"]
    said = answer.card()
    assert said.number.reason
    assert "over-confident" in said.answer


def test_labels_of_a_target_are_shown_beside_and_not_used():
    source, target = calibrated(300), calibrated(200, clear=1.5, seed=1)
    files = [{"logits": k.logits.numpy(), "labels": k.target.numpy()} for k in (source, target)]
    found = analyze(files[1], sources={"test set": files[0]})
    unlabelled = analyze(files[1]["logits"], sources={"test set": files[0]})
    answers = [one.decisions["without_labels"] for one in (found, unlabelled)]
    assert answers[0].found.recommended == answers[1].found.recommended
    assert answers[0].truth["error_rate"] == found.means["error_rate"]
    assert "With the labels that are here" in answers[0].card().answer
    assert "test set" in answers[1].card().answer


def test_further_sources_are_tried_and_widen_the_interval():
    first, near, far = (calibrated(300, clear=c, seed=s) for c, s in ((2, 0), (1.8, 2), (1, 3)))
    alone = learn(near, [Source("first", first)])
    found = learn(near, [Source("first", first), Source("far", far)])
    assert [check.name for check in found.checks] == ["far"]
    assert found.checks[0].truth == truth(far)
    assert found.checks[0].estimates["scaled"] == found_by(first, far)["scaled"]
    assert found.rows == alone.rows


def test_groups_have_the_numbers_of_their_samples():
    """Two groups as one target; means of the groups are those of all samples."""
    source, target = calibrated(1500), calibrated(1500, seed=1)
    place = (target.logits.mean(dim=0).softmax(dim=1).amax(dim=1) < 0.7).long().numpy()
    groups = {"kind": Groups(("clear", "unclear", "none"), place)}
    found = learn(target, [Source("s", source)], groups)
    rows = {group.group: group for group in found.groups}
    assert list(rows) == ["unclear", "clear"]
    whole = found.rows["held_shares"]
    for name in QUANTITIES:
        parts = [rows[g].samples * rows[g].numbers[name].value for g in rows]
        assert sum(parts) / 1500 == pytest.approx(whole[name].value)
    for number, name in enumerate(("clear", "unclear")):
        error = (target.logits.argmax(dim=2) != target.target)[:, place == number].double().mean()
        low, high = rows[name].numbers["error_rate"].interval
        assert low < float(error) < high


def save(name, kept, *, labels=True, **more):
    given = {"labels": kept.target.numpy()} if labels else {}
    np.savez(name, logits=kept.logits.numpy(), **given, **more)


NAMED = [f"seed {m}" for m in range(MEMBERS)]


@pytest.mark.usefixtures("without_figures")
def test_the_command_writes_it_to_summary_and_page(bvalign, capsys):
    save("source.npz", calibrated(200), members=NAMED)
    save("target.npz", calibrated(100, seed=1), labels=False, members=NAMED[1:5] + NAMED[:1])
    kept = calibrated(100, seed=1)
    np.savez("target.npz", logits=kept.logits[1:5].numpy(), members=NAMED[1:5])
    bvalign("analyze", "target.npz", "--source", "source.npz", "--out", "out")
    assert "Expect a member to be wrong on" in capsys.readouterr().out
    summary = json.loads(Path("out/summary.json").read_text())
    found = summary["without_labels"]
    assert found["error_rate"]["recommended"]["method"] == "held_shares"
    assert found["sources"] == ["source.npz"]
    assert any("4 members that source and target share" in note for note in found["notes"])
    assert summary["decisions"]["without_labels"]["answer"] in (
        Path("out/report.html").read_text().replace("&#39;", "'")
    )


@pytest.mark.usefixtures("without_figures")
def test_labels_of_a_part_of_the_samples_are_the_source_of_the_rest(bvalign):
    kept = calibrated(400)
    labels = kept.target.numpy().copy()
    labels[150:] = -1
    np.savez("part.npz", logits=kept.logits.numpy(), labels=labels)
    bvalign("analyze", "part.npz", "--out", "out")
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["num_samples"] == 150
    found = summary["without_labels"]
    assert found["sources"] == ["the labelled part of these samples"]
    assert "About the 250 samples that have no label" in found["notes"]
    low, high = found["error_rate"]["recommended"]["interval"]
    wrong = kept.logits[:, 150:].argmax(dim=2) != kept.target[150:]
    assert low < float(wrong.double().mean()) < high


CAT, DOG = [["a", "b", "c", "d"], ["b", "a", "c", "d"]], ["a", "b", "c", "dog"]


@pytest.mark.parametrize(
    ("message", "source", "target"),
    [
        ("a source needs labels, but has none", {"labels": False}, {}),
        ("same classes, got 4 and 3", {}, {"classes": 3}),
        ("another order, b, a, c, d instead of a, b, c, d", {"names": CAT[1]}, {"names": CAT[0]}),
        ("but d, dog are in one of them alone", {"names": DOG}, {"names": CAT[0]}),
        ("has 6 members and the target 5, without names", {}, {"rows": 5}),
        ("share no member", {"members": NAMED}, {"members": [f"run {m}" for m in range(MEMBERS)]}),
        ("no such file", {"path": "other.npz"}, {}),
    ],
)
def test_what_does_not_fit_is_one_line(bvalign, message, source, target):
    for name, given in (("source.npz", source), ("target.npz", target)):
        kept, more = calibrated(60), {}
        logits = kept.logits[: given.get("rows"), :, : given.get("classes")]
        if "names" in given:
            more["class_names"] = given["names"]
        if "members" in given:
            more["members"] = given["members"]
        if name == "source.npz" and given.get("labels", True):
            more["labels"] = kept.target.numpy()
        np.savez(name, logits=logits.numpy(), **more)
    with pytest.raises(SystemExit) as stopped:
        bvalign("analyze", "target.npz", "--source", source.get("path", "source.npz"), "--out", "o")
    assert message in str(stopped.value)
    assert "\n" not in str(stopped.value)


def test_soft_labels_are_no_source():
    kept = calibrated(30)
    soft = torch.softmax(kept.logits.mean(dim=0), dim=1).numpy()
    source = {"logits": kept.logits.numpy(), "labels": soft}
    with pytest.raises(ValueError, match="must be one class a sample, got soft labels"):
        analyze(kept.logits, sources=[source])
