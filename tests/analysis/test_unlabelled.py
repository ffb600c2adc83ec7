"""Predictions without labels: the same numbers as with them, and what stands in for the rest."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bvalign import Predictions, open_predictions, write_report
from bvalign.analysis.calibration.gap import gap_identity, risk_label_free
from bvalign.analysis.decompositions.other_losses import cross_entropy, vote_counts, zero_one
from bvalign.analysis.decompositions.squared_loss import decompose, moments, softmax
from bvalign.analysis.groups import member_groups
from bvalign.analysis.label_free import UnlabelledStatistics, unlabelled, without_groups
from tests import ROOT
from tests.analysed import analysed
from tests.ensembles import aligned_ensemble, calibrated_members, random_ensemble
from tests.processes import bare_environment, bvalign_process, run_process

DOCUMENTED = (ROOT / "docs" / "summary.md").read_text()
QUESTION = (ROOT / "docs" / "decisions" / "without_labels.md").read_text()
LOGITS, TARGET = random_ensemble(members=3, samples=5, classes=4)
SHARED = (
    "prediction variance variance_unbiased uncertainty kl_variance kl_variance_jackknife "
    "disagreement variance_01"
).split()
"""Columns of samples.csv that need no label."""


def one_hot(votes, classes):
    """Logits of votes: zero and minus infinity."""
    logits = torch.full((*votes.shape, classes), -torch.inf)
    return logits.scatter(-1, votes.unsqueeze(-1), 0.0)


def summary(out):
    return json.loads((Path(out) / "summary.json").read_text())


def samples(out):
    with (Path(out) / "samples.csv").open() as file:
        return list(csv.DictReader(file))


def save(path, scores=LOGITS, kind="npz", target=None):
    """Predictions without labels unless some are given."""
    if kind == "npz":
        np.savez(path, logits=scores, **({} if target is None else {"labels": target}))
    elif kind == "npy":
        path.mkdir()
        for name, member in enumerate(scores):
            np.save(path / f"{name}.npy", member)
    elif kind == "safetensors":
        path.mkdir()
        for name, member in enumerate(scores):
            save_file({"logits": member.contiguous()}, path / f"{name}.safetensors")
    else:
        names = ["member", "sample", *(f"logit{k}" for k in range(scores.shape[2]))]
        rows = [
            (m, n, *scores[m, n].tolist())
            for m in range(scores.shape[0])
            for n in range(scores.shape[1])
        ]
        if kind == "csv":
            path.write_text("\n".join(",".join(map(str, row)) for row in (names, *rows)))
        else:
            arrow = pytest.importorskip("pyarrow")
            from pyarrow import parquet

            table = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
            parquet.write_table(arrow.table(table), path)
    return path


def test_every_column_equals_the_one_computed_with_labels():
    logits, target = random_ensemble(members=6, samples=53)
    found = unlabelled(logits)
    squared, logs = decompose(moments(logits, target), target), cross_entropy(logits, target)
    votes = zero_one(vote_counts(logits.argmax(dim=-1), 4), target)
    for name, expected in (
        ("prediction", moments(logits, target).prob_sum.argmax(dim=-1)),
        ("confidence", softmax(logits).mean(dim=0).amax(dim=-1)),
        ("variance", squared.variance),
        ("variance_unbiased", squared.variance_unbiased),
        ("uncertainty", gap_identity(logits, target).uncertainty),
        ("kl_variance", logs.kl_variance),
        ("kl_variance_jackknife", logs.kl_variance_jackknife),
        ("disagreement", votes.disagreement),
        ("variance_01", votes.variance_01),
        ("risk_label_free", risk_label_free(logits)),
        ("error_label_free", 1 - softmax(logits).mean(dim=0).amax(dim=-1)),
    ):
        torch.testing.assert_close(getattr(found, name), expected, rtol=1e-12, atol=1e-15, msg=name)
    plug_in = 2 * squared.variance + found.uncertainty
    torch.testing.assert_close(found.risk_label_free_plug_in, plug_in, rtol=1e-12, atol=0)


def test_the_error_of_a_confident_sample_keeps_its_digits():
    """Margin 60: 1 - p is 1e-26, and 1 minus the confidence would be zero."""
    logits = torch.zeros(2, 1, 3)
    logits[..., 1] = 60
    found = unlabelled(logits)
    assert found.confidence.item() == 1
    assert found.error_label_free.item() == pytest.approx(2 * np.exp(-60), rel=1e-12, abs=0)


def test_ranges_members_and_classes_may_come_in_any_order():
    logits, _ = random_ensemble(members=3, samples=53)
    expected = analysed(logits, None, size=53).values
    for found in (analysed(logits, None, size=7).values, analysed(logits[[2, 0, 1]], None).values):
        for name, a, b in zip(expected._fields, found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-15, msg=name)
    flipped = analysed(logits.flip(-1), None).values
    torch.testing.assert_close(3 - flipped.prediction, expected.prediction)
    torch.testing.assert_close(flipped.variance, expected.variance, rtol=1e-12, atol=0)


def test_means_have_intervals_over_samples_and_members():
    logits, _ = random_ensemble(members=6, samples=53)
    found = analysed(logits, None)
    for name, mean in found.means.items():
        values = getattr(found.values, name)
        assert mean.value == pytest.approx(float(values.mean()), rel=1e-12)
        assert mean.variances.samples == pytest.approx(float(values.var()) / 53, rel=1e-9)
        assert mean.interval[0] < mean.value < mean.interval[1]
    again = analysed(logits.repeat(1, 2, 1), None, clusters=torch.arange(53).repeat(2))
    for name, mean in again.means.items():
        assert mean.variances.samples == pytest.approx(found.means[name].variances.samples)


@pytest.mark.parametrize("members", [3, 18])
@pytest.mark.parametrize("margin", [0.0, 60.0])
def test_values_without_a_group_are_those_of_the_other_members(members, margin):
    logits, _ = random_ensemble(members=members, samples=9, classes=4)
    logits[..., 1] += margin
    groups = member_groups(members)
    found = without_groups(logits, groups)
    for row, gone in enumerate(groups.members):
        alone = unlabelled(logits[[m for m in range(members) if m not in gone]])
        for name in UnlabelledStatistics._fields:
            expected = getattr(alone, name.removesuffix("_jackknife"))
            # a divergence and an error near one are differences of ones
            near_one = 1e-15 if name.startswith(("kl_", "error")) else 1e-30
            value = getattr(found, name)[row]
            torch.testing.assert_close(value, expected, rtol=1e-9, atol=near_one, msg=name)


def test_the_members_part_of_a_mean_is_that_of_members_left_out():
    logits, _ = random_ensemble(members=5, samples=40)
    found = analysed(logits, None).means["confidence"].variances
    without = np.array(
        [unlabelled(logits[[m for m in range(5) if m != g]]).confidence.numpy() for g in range(5)]
    )
    assert found.members == pytest.approx(4 * without.mean(axis=1).var(), rel=1e-9)
    assert found.both == pytest.approx(4 * without.var(axis=0).sum() / 40**2, rel=1e-9)


def test_one_and_two_members_have_an_interval_over_samples_alone():
    for members in (1, 2):
        found = analysed(random_ensemble(members=members, samples=30)[0], None)
        for mean in found.means.values():
            assert mean.interval is None
            assert mean.reason
        assert found.means["confidence"].interval_samples is not None


def mean_and_error(values):
    """Mean over samples, and its standard error."""
    return values.mean(), values.std() / len(values) ** 0.5


def agree(truth, estimate):
    """Whether the means agree within three paired standard errors, and within three separate."""
    paired, paired_error = mean_and_error(truth - estimate)
    (a, a_error), (b, b_error) = map(mean_and_error, (truth, estimate))
    return abs(paired) < 3 * paired_error and abs(a - b) < 3 * (a_error**2 + b_error**2).sqrt()


@pytest.mark.parametrize("seed", [0, 1])
def test_risk_and_member_error_are_those_of_calibrated_members(seed):
    """Labels follow the mean of infinitely many members, of which five are seen."""
    logits, votes, target = calibrated_members(seed)
    found = unlabelled(logits)
    assert agree(decompose(moments(logits, target), target).risk, found.risk_label_free)
    assert found.risk_label_free_plug_in.mean() < 0.95 * found.risk_label_free.mean()
    hard = unlabelled(one_hot(votes, 4))
    error = (votes != target).double().mean(dim=0)
    assert agree(error, hard.disagreement)
    assert agree(2 * error, hard.risk_label_free)


@pytest.mark.parametrize("seed", [0, 1])
def test_plug_in_risk_and_ensemble_error_are_those_of_a_calibrated_mean(seed):
    """Labels follow the mean of the five members that are seen."""
    logits, _, _ = calibrated_members(seed)
    target = torch.multinomial(softmax(logits).mean(dim=0), 1).squeeze(1)
    found = unlabelled(logits)
    assert agree(decompose(moments(logits, target), target).risk, found.risk_label_free_plug_in)
    assert agree((found.prediction != target).double(), found.error_label_free)


def test_over_confidence_makes_every_estimate_too_low():
    logits, _, target = calibrated_members(seed=0)
    sharp = 3 * logits
    found, risk = unlabelled(sharp), decompose(moments(sharp, target), target).risk
    alike = sharp.mean(dim=0) + 0.3 * (sharp - sharp.mean(dim=0))  # errors are shared
    error = (alike.argmax(dim=-1) != target).double().mean(dim=0)
    for truth, estimate in (
        (risk, found.risk_label_free),
        (risk, found.risk_label_free_plug_in),
        ((found.prediction != target).double(), found.error_label_free),
        (error, unlabelled(alike).disagreement),
    ):
        difference, its_error = mean_and_error(truth - estimate)
        assert difference > 3 * its_error


def test_variance_stays_below_the_grey_of_the_figure():
    for members, scale in ((2, 8.0), (3, 3.0), (9, 1.0)):
        values = unlabelled(random_ensemble(members=members, samples=500, scale=scale)[0])
        a = values.error_label_free
        top = torch.minimum(2 * a - a**2 * 4 / 3, 2 * (members - 1) * a**2)
        assert (values.variance <= top * (1 + 1e-12)).all()


@pytest.mark.parametrize("kind", ["npz", "npy", "safetensors", "csv", "parquet"])
def test_every_reader_does_without_labels(tmp_path, kind):
    predictions, _ = open_predictions(save(tmp_path / f"p.{kind}", kind=kind))
    assert predictions.target is None
    assert predictions.num_samples == 5
    [(logits, target)] = predictions.ranges()
    assert target is None
    torch.testing.assert_close(logits.float(), LOGITS, rtol=1e-6, atol=0)


def test_samples_are_the_same_with_and_without_labels(bvalign):
    logits, target = aligned_ensemble(samples=201)
    save(Path("with.npz"), logits.float(), target=target)
    save(Path("without.npz"), logits.float())
    bvalign("analyze", "with.npz", "--out", "a")
    command = [sys.executable, "-m", "bvalign", "analyze", "without.npz", "--out", "b"]
    said = run_process(command, env=bare_environment()).stdout
    for a, b in zip(samples("a"), samples("b"), strict=True):
        assert {name: a[name] for name in SHARED} == {name: b[name] for name in SHARED}
    assert "12 members on 201 samples without labels" in said
    assert "where models are over-confident" in said
    assert said.strip().endswith("report: b/report.html")
    files = {str(f.relative_to("b")) for f in Path("b").rglob("*") if f.is_file()}
    assert files == {"summary.json", "samples.csv", "samples.parquet", "report.html"}
    found, labelled = summary("b"), summary("a")
    assert (found["labels"], labelled["labels"], labelled["missing"]) == (False, True, [])
    missing = {entry["name"]: entry["reason"] for entry in found["missing"]}
    assert set(missing.values()) == {"needs labels"}
    absent = (labelled.keys() | labelled["means"].keys()) - (found.keys() | found["means"].keys())
    absent = {name for name in absent if not name.startswith("alignment_")}
    assert absent == set(missing)


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize(("samples_there_are", "classes"), [(201, 5), (400, 300)])
def test_two_processes_give_the_same_numbers(bvalign, samples_there_are, classes):
    """To the last digit, with three ranges of samples and with fewer ranges than processes."""
    logits, _ = aligned_ensemble(samples=samples_there_are, classes=classes)
    save(Path("p.npz"), logits.float())
    bvalign("analyze", "p.npz", "--out", "one")
    run_process(bvalign_process("analyze", "p.npz", "--out", "two", ranks=2))
    assert samples("one") == samples("two")
    assert summary("one") == summary("two")


def test_one_member_has_no_variance_and_says_so(bvalign, capsys):
    save(Path("p.npz"), LOGITS[:1])
    bvalign("analyze", "p.npz", "--out", "out")
    assert "one member has no variance" in capsys.readouterr().out
    found = summary("out")
    assert "<figcaption>" not in Path("out/report.html").read_text()
    reasons = {entry["name"]: entry["reason"] for entry in found["missing"]}
    undefined = {name for name, mean in found["means"].items() if mean["value"] is None}
    defined = {"uncertainty", "confidence", "risk_label_free_plug_in", "error_label_free"}
    assert undefined == found["means"].keys() - defined
    assert {reasons[name] for name in undefined} == {"needs two members"}
    risk, uncertainty = found["without_labels"]["risk"], found["means"]["uncertainty"]["value"]
    assert risk["methods"]["calibrated"]["reason"] == "needs two members"
    assert risk["methods"]["calibrated_plug_in"]["value"] == pytest.approx(uncertainty)
    error = found["without_labels"]["ensemble_error_rate"]["methods"]["confidence"]["value"]
    assert error == pytest.approx(1 - found["means"]["confidence"]["value"])


@pytest.mark.usefixtures("without_figures")
def test_votes_give_disagreement_and_risk(bvalign):
    votes = np.array([[0, 1, 2, 3, 0], [0, 1, 1, 3, 4], [0, 2, 2, 3, 0]])
    np.savez("p.npz", votes=votes)
    bvalign("analyze", "p.npz", "--out", "out")
    found = summary("out")
    assert found["num_classes"] == 5
    assert "uncertainty is zero" in found["notes"][0]
    # three of five samples have a pair of agreeing members among three: disagreement 2/3
    answers = found["without_labels"]
    error = answers["error_rate"]["methods"]["disagreement"]["value"]
    assert error == pytest.approx(3 * 2 / 3 / 5)
    risk = answers["risk"]["methods"]["calibrated"]["value"]
    assert risk == pytest.approx(2 * 3 * 2 / 3 / 5)
    assert found["means"]["kl_variance"]["value"] is None
    zero = {"name": "kl_variance", "reason": "a member gives a class a probability of zero"}
    assert zero in found["missing"]


@pytest.mark.usefixtures("without_figures")
def test_labelled_votes_and_a_single_member_name_what_is_missing(bvalign):
    votes = aligned_ensemble(sigma=8.0, samples=60)[0].argmax(dim=-1)
    np.savez("v.npz", votes=votes, labels=votes[0])
    bvalign("analyze", "v.npz", "--out", "votes")
    reasons = {entry["name"]: entry["reason"] for entry in summary("votes")["missing"]}
    assert reasons["kl_risk"] == "a member gives a class a probability of zero"
    assert summary("votes")["variance_share"]["cross_entropy"] is None
    save(Path("one.npz"), LOGITS[:1], target=TARGET)
    bvalign("analyze", "one.npz", "--out", "one")
    reasons = {entry["name"]: entry["reason"] for entry in summary("one")["missing"]}
    assert reasons.pop("disagreement") == "needs two members"
    assert set(reasons.values()) == {"needs two members"}
    assert "kl_risk" not in reasons


def test_images_and_class_names_are_shown(tmp_path):
    predictions = Predictions(
        read=lambda start, stop: LOGITS[:, start:stop],
        target=None,
        index=np.arange(5),
        members=(0, 1, 2),
        num_classes=4,
        class_names=("cat", "dog", "owl", "<b>"),
        images=np.zeros((5, 3, 8, 8), np.uint8),
    )
    write_report(analysed(LOGITS, None), predictions, {}, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count('class="thumb sheet-0"') == 2 * 5
    names = [predictions.class_names[k] for k in unlabelled(LOGITS).prediction]
    assert all(f"<b>{name}</b>".replace("<b><b></b>", "<b>&lt;b&gt;</b>") in page for name in names)


def test_nan_is_named_by_member_without_labels(bvalign):
    logits = LOGITS.clone()
    logits[1, [0, 3], 2] = torch.nan
    save(Path("p.npz"), logits)
    with pytest.raises(SystemExit, match=r"NaN or inf: member 1 \(2 of 5 samples\)"):
        bvalign("analyze", "p.npz", "--out", "out")


@pytest.mark.usefixtures("without_figures")
def test_every_number_is_documented(bvalign):
    save(Path("p.npz"))
    bvalign("analyze", "p.npz", "--out", "out")
    found = summary("out")
    for key in found:
        assert f"`{key}" in DOCUMENTED, key
    for name in found["means"]:
        assert f"`means.{name}`" in DOCUMENTED, name
    for name in found["without_labels"]:
        assert f"`{name}`" in QUESTION, name
    for column in samples("out")[0]:
        assert f"`{column}`" in DOCUMENTED, column
