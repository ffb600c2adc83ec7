"""Samples with fewer classes than others: what goes by sample is that of the classes they have."""

import numpy as np
import pytest
import torch

from bvalign import analyze, open_predictions
from bvalign.analysis.decompositions.log_statistics import LogMoments, log_moments, merge_logs
from tests import reference, reference_losses
from tests.analysed import analysed, estimates
from tests.ensembles import mixed_ensemble, predictions_of

BY_CLASS = ("top_label", "class_wise", "class_aggregated", "canonical")


def padded(logits, num_options, classes):
    """Logits with classes of minus infinity beyond those of each sample."""
    members, samples, given = logits.shape
    wide = torch.full((members, samples, classes), -torch.inf, dtype=logits.dtype)
    wide[..., :given] = logits
    absent = torch.arange(classes) >= torch.as_tensor(num_options).unsqueeze(-1)
    return wide.masked_fill(absent, -torch.inf)


def mixed(members=6, samples=120, seed=0):
    """Logits of samples with two to five of five classes, and their labels and numbers."""
    logits, target = mixed_ensemble(members=members, samples=samples, classes=5, seed=seed)
    number = torch.from_numpy(np.random.default_rng(seed).integers(2, 6, size=samples))
    number = torch.maximum(number, target + 1)
    return padded(logits, number, 5), target, number


@pytest.mark.parametrize("labelled", [True, False])
def test_three_of_four_classes_are_as_three_classes(labelled):
    logits, target = mixed_ensemble(members=8, samples=150, classes=3)
    target = target if labelled else None
    number = torch.full((150,), 3)
    found = analysed(padded(logits, number, 4), target, num_options=number)
    expected = analysed(logits, target)
    for name, column in expected.columns().items():
        torch.testing.assert_close(
            found.columns()[name].values, column.values, rtol=1e-11, atol=1e-18, equal_nan=True
        )
    numbers = dict(estimates(found))
    for path, number in estimates(expected):
        if not any(notion in path for notion in BY_CLASS):
            assert numbers[path].value == pytest.approx(number.value, rel=1e-10, abs=1e-15), path
            assert (numbers[path].interval is None) == (number.interval is None), path
            if number.interval:
                ends = pytest.approx(number.interval, rel=1e-8, abs=1e-12)
                assert numbers[path].interval == ends, path
    if labelled:
        assert found.alignment.logit_slope.flags == expected.alignment.logit_slope.flags
        temperature = expected.calibration.temperature.temperature
        assert found.calibration.temperature.temperature == pytest.approx(temperature, rel=1e-9)


@pytest.mark.parametrize("key", ["logits", "probs"])
def test_every_sample_is_that_of_the_classes_it_has(key, tmp_path):
    logits, target, number = mixed()
    scores = torch.softmax(logits, dim=-1) if key == "probs" else logits
    path = tmp_path / "p.npz"
    np.savez(path, labels=target.numpy(), num_options=number.numpy(), **{key: scores.numpy()})
    found = analyze(path)
    assert found["num_options"].tolist() == number.tolist()
    for n in range(0, len(target), 5):
        own, label = logits[:, n, : number[n]], int(target[n])
        values = {
            k: v[0] for k, v in reference.bias_variance(own[:, None].numpy(), [label]).items()
        }
        names = ("kl_risk", "kl_bias", "kl_variance")
        losses = reference_losses.cross_entropy(own.tolist(), label)
        values |= zip(names, losses, strict=True)
        of_members = reference_losses.jackknife(reference_losses.cross_entropy, own.tolist(), label)
        values |= {"kl_bias_jackknife": of_members[1], "kl_variance_jackknife": of_members[2]}
        for name, value in values.items():
            assert found[name][n] == pytest.approx(float(value), rel=1e-8), name
    for name in ("kl_variance", "kl_variance_jackknife", "gap", "uncertainty", "disagreement"):
        assert np.isfinite(found[name]).all(), name
    assert found.means["kl_variance_jackknife"].value > 0
    assert found.calibration.temperature.temperature is not None


def test_a_class_that_only_some_members_exclude_leaves_the_divergence_undefined():
    logits, target, number = mixed()
    logits[0, 3, 1 - target[3].clamp(max=1)] = -torch.inf  # of a class that the sample has
    logits[:, 4, :] = -torch.inf
    logits[:, 4, target[4]] = 0  # all members are sure, as votes are
    found = analysed(logits, target, num_options=number)["kl_variance"]
    assert np.flatnonzero(np.isnan(found)).tolist() == [3, 4]


def test_merged_members_agree_with_all_of_them():
    logits, _, _ = mixed()
    none = LogMoments(*(torch.zeros_like(part) for part in log_moments(logits)))
    merged = merge_logs(merge_logs(none, log_moments(logits[:2])), log_moments(logits[2:]))
    torch.testing.assert_close(merged.divergence, log_moments(logits).divergence, rtol=1e-9, atol=0)


def test_what_compares_classes_is_left_out_with_a_reason(tmp_path):
    logits, target, number = mixed()
    np.savez(
        tmp_path / "p.npz",
        logits=logits.numpy(),
        labels=target.numpy(),
        num_options=number.numpy(),
        index=np.arange(120)[::-1],
    )
    found = analyze(tmp_path / "p.npz")
    assert found["num_options"].tolist() == number.tolist()[::-1]
    for errors in found.calibration.errors.values():
        assert errors["confidence"].squared_debiased.value is not None
        for notion in BY_CLASS:
            reason = errors[notion].squared_debiased.reason
            assert reason == "samples have different numbers of classes"
    assert found.collapse.reason == "samples have different numbers of classes"
    fewer = int((number < 5).sum())
    assert f"{fewer} of 120 samples have fewer than 5 classes (2 at least)" in found.notes[0]


def test_classes_that_no_sample_has_are_taken_off(tmp_path):
    logits, target = mixed_ensemble(members=4, samples=50, classes=3)
    names = np.array(["a", "b", "c", "d"])
    np.savez(
        tmp_path / "p.npz",
        logits=padded(logits, torch.full((50,), 3), 4).numpy(),
        labels=target.numpy(),
        num_options=np.full(50, 3),
        class_names=names,
    )
    predictions, _ = open_predictions(tmp_path / "p.npz")
    assert predictions.num_options is None
    assert predictions.class_names == ("a", "b", "c")
    expected = analyze(predictions_of(logits, target))
    assert analyze(predictions).means == expected.means


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_options": np.full(120, 1)}, r"120 integers from 2 to 5, got int64 \(120,\) from 1"),
        ({"num_options": np.full(120, 6)}, "from 2 to 5, got .* from 6 to 6"),
        ({"num_options": np.full(120, 3.5)}, "120 integers from 2 to 5, got float64"),
        ({"num_options": np.full(119, 3)}, r"got int64 \(119,\)"),
        ({"num_options": np.full(120, 2)}, "row . has 2 classes and a score beyond"),
        ({"labels": np.full(120, 4)}, "labels must be classes of their samples, but .* is 4 at"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(tmp_path, change, message):
    logits, target, number = mixed()
    arrays = {"labels": target.numpy(), "num_options": number.numpy()} | change
    np.savez(tmp_path / "p.npz", logits=logits.numpy(), **arrays)
    with pytest.raises(ValueError, match=message):
        open_predictions(tmp_path / "p.npz")


def test_a_report_is_complete(tmp_path, bvalign):
    logits, target, number = mixed()
    arrays = {"logits": logits.half().numpy(), "num_options": number.numpy()}
    np.savez(tmp_path / "p.npz", labels=target.numpy(), **arrays)
    bvalign("analyze", "p.npz", "--out", "labelled")
    np.savez(tmp_path / "p.npz", **arrays)
    bvalign("analyze", "p.npz", "--out", "unlabelled")
    for out in ("labelled", "unlabelled"):
        header, *rows = (tmp_path / out / "samples.csv").read_text().splitlines()
        at = header.split(",").index("num_options")
        assert [int(row.split(",")[at]) for row in rows] == number.tolist()
        assert (tmp_path / out / "report.html").exists()
