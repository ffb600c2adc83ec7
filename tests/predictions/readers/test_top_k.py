"""Top-k logits are read from every place alike; what cannot be is refused in one line."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from bvalign import analyze
from bvalign.predictions import open_predictions
from bvalign.top_k import dense
from tests.analysis.top_k.ensembles import kept

MEMBERS, SAMPLES, CLASSES, NUMBER = 3, 40, 12, 4


def logits_and_labels():
    random = np.random.default_rng(0)
    labels = random.integers(CLASSES, size=SAMPLES)
    logits = 3 * np.eye(CLASSES)[labels] + random.normal(size=(MEMBERS, SAMPLES, CLASSES))
    return logits.astype(np.float32), labels


LOGITS, LABELS = logits_and_labels()
TOP = kept(torch.from_numpy(LOGITS), NUMBER, torch.from_numpy(LABELS))


def arrays(**other):
    own = {"topk_logits": TOP.logits, "topk_indices": TOP.indices, "topk_rest": TOP.rest}
    own = {name: values.numpy() for name, values in own.items()}
    return own | {"num_classes": np.array(CLASSES), "labels": LABELS} | other


def as_npz(path):
    np.savez(path / "p.npz", **arrays())
    return path / "p.npz"


def as_safetensors(path):
    save_file(arrays(), path / "p.safetensors")
    return path / "p.safetensors"


def as_folder(path):
    for name, values in arrays().items():
        np.save(path / f"{name}.npy", values)
    return path


def as_members(path):
    np.save(path / "labels.npy", LABELS)
    for member in range(MEMBERS):
        own = {k: v[member] for k, v in arrays().items() if k.startswith("topk")}
        np.savez(path / f"{member}.npz", **own, num_classes=CLASSES)
    return path


@pytest.mark.parametrize(
    "write", [as_npz, as_safetensors, as_folder, as_members, lambda _: arrays()]
)
def test_every_place_gives_the_same_logits(write, tmp_path):
    predictions, _ = open_predictions(write(tmp_path))
    assert torch.equal(predictions.read(3, 9), dense(TOP)[:, 3:9])
    part = predictions.kept(3, 9)
    assert torch.equal(part.rest, TOP.rest[:, 3:9])
    assert torch.equal(part.indices, TOP.indices[:, 3:9])
    assert (predictions.target == LABELS).all()
    assert predictions.notes == ()


def test_rows_keep_their_logits_in_another_order_and_with_labels_missing():
    index, labels = np.arange(SAMPLES)[::-1], np.where(np.arange(SAMPLES) % 5 == 0, -1, LABELS)
    predictions, _ = open_predictions(arrays(index=index, labels=labels))
    known = np.flatnonzero(labels >= 0)[::-1]
    assert torch.equal(predictions.kept(0, 32).logits, TOP.logits[:, known.copy()])
    assert predictions.unlabelled.kept(0, 8).logits.shape == (MEMBERS, 8, NUMBER)


@pytest.mark.usefixtures("without_figures")
def test_a_report_bounds_samples_and_means(tmp_path):
    result, truth = analyze(arrays()), analyze(LOGITS, LABELS)
    result.report(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    top_k = summary["top_k"]
    assert (top_k["k"], top_k["num_classes"], top_k["label_outside"]) == (NUMBER, CLASSES, 0)
    assert "kl_risk" in top_k["exact"]
    for name, (low, high) in top_k["bounds"].items():
        ends = result[f"{name}_low"], result[f"{name}_high"]
        assert (ends[0] <= truth[name]).all()
        assert (truth[name] <= ends[1]).all()
        if name in truth.means:
            assert low <= truth.means[name].value <= high
            interval = summary["means"][name]["interval"]
            assert interval[0] <= low <= high <= interval[1]
    header = (tmp_path / "samples.csv").read_text().split("\n", 1)[0].split(",")
    assert {"bias_sq_low", "bias_sq_high"} <= set(header)
    assert "error_rate_low" not in header
    note = f"logits of {NUMBER} of {CLASSES} classes are kept"
    assert note in str(result)
    assert note in (tmp_path / "report.html").read_text()
    without = analyze({name: v for name, v in arrays().items() if name != "labels"})
    assert set(without.left_open.ends) >= {"variance", "risk_label_free"}
    assert note in str(without)


def test_of_all_classes_nothing_is_left_open():
    whole = kept(torch.from_numpy(LOGITS), CLASSES)
    parts = {"topk_logits": whole.logits, "topk_indices": whole.indices, "topk_rest": whole.rest}
    predictions, _ = open_predictions(arrays(**parts))
    assert predictions.kept is None
    assert torch.equal(predictions.read(0, SAMPLES), torch.from_numpy(LOGITS).double())


def changed(name, at, value):
    values = arrays()[name].copy()
    values[at] = value
    return {name: values}


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (changed("topk_indices", (1, 5, 0), CLASSES), r"class ids in 0\.\.11: member 1 \(1 of 40"),
        (changed("topk_indices", (0, slice(2), 0), -1), r"class ids in 0\.\.11: member 0 \(2 of"),
        (
            changed("topk_indices", (2, 7), 3),
            r"has one twice: member 2 \(1 of 40 samples\)",
        ),
        (changed("topk_rest", (1, 1), np.nan), r"'topk_rest' must be a number or -inf, got NaN"),
        (changed("topk_rest", (1, 1), np.inf), r"'topk_rest' must be a number or -inf, got NaN"),
        (changed("topk_logits", (1, 1, 0), np.nan), r"'topk_logits' must be numbers, got NaN"),
        (changed("topk_rest", (0, slice(3)), 50.0), r"other 8 .* is larger: member 0 \(3 of 40"),
        ({"num_classes": np.array(NUMBER)}, r"must be class ids in 0\.\.3"),
        ({"num_classes": np.array(3)}, r"4 logits are kept of 3 classes"),
        ({"num_classes": np.array([2.5])}, r"'num_classes' must be one integer"),
        ({"topk_indices": arrays()["topk_indices"].astype(float)}, r"must be integers, got float"),
        ({"topk_rest": arrays()["topk_rest"][:, 1:]}, r"'topk_rest' \(members, samples\), got"),
        ({"num_options": np.full(SAMPLES, 5)}, r"cannot have 'num_options'"),
    ],
)
def test_what_cannot_be_is_refused(other, told):
    with pytest.raises(ValueError, match=told) as caught:
        open_predictions(arrays(**other))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "told"),
    [("num_classes", "does not tell the number of classes"), ("topk_rest", "needs 'topk_rest'")],
)
def test_a_missing_array_is_named(missing, told):
    with pytest.raises(ValueError, match=told):
        open_predictions({name: v for name, v in arrays().items() if name != missing})


def test_members_keep_as_many(tmp_path):
    as_members(tmp_path)
    own = {k: v[0] for k, v in arrays().items() if k.startswith("topk")}
    own["topk_logits"], own["topk_indices"] = own["topk_logits"][:, :3], own["topk_indices"][:, :3]
    np.savez(tmp_path / "0.npz", **own, num_classes=CLASSES)
    with pytest.raises(ValueError, match="0 lacks 9, 1 lacks 8"):
        open_predictions(tmp_path)


def test_a_coarse_rest_is_noted():
    coarse = arrays()["topk_rest"].astype(np.float32)
    predictions, _ = open_predictions(arrays(topk_rest=coarse))
    assert predictions.notes[0].startswith("topk_rest: float32 rounds it")
