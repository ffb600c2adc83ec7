"""Labels of all kinds that people save, names of arrays, and scores that are not what they say."""

import numpy as np
import pytest
import torch

from bvalign import open_predictions
from tests.ensembles import random_ensemble

LOGITS, TARGET = (a.numpy() for a in random_ensemble(members=3, samples=7, classes=4, seed=2))
TARGET[:4] = np.arange(4)
NAMES = np.array(["ant", "bee", "cat", "dog"])


def opened(path, **arrays):
    np.savez(path / "p.npz", **arrays)
    predictions, _ = open_predictions(path / "p.npz")
    return predictions, " | ".join(predictions.notes)


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (TARGET[:, None], ""),
        (TARGET.astype(np.uint8)[:, None], ""),
        (TARGET.astype(float), ""),
        (TARGET.astype(np.float16), ""),
        (np.eye(4)[TARGET], "one-hot"),
        (np.eye(4, dtype=bool)[TARGET], "one-hot"),
        (np.eye(4, dtype=np.int64)[TARGET], "one-hot"),
        (NAMES[TARGET], "are ant, bee, cat, dog, in alphabetical order"),
        (np.stack([TARGET] * 3).astype(float), ""),
        (TARGET.astype(str), ""),
        (np.char.add(TARGET.astype(str), ".0"), ""),
    ],
)
def test_labels_that_are_clear_are_class_ids(tmp_path, labels, note):
    predictions, notes = opened(tmp_path, logits=LOGITS, labels=labels)
    assert np.array_equal(predictions.target, TARGET)
    assert predictions.target.dtype == np.int64
    assert note in notes
    assert bool(notes) == bool(note)


def test_booleans_are_the_labels_of_two_classes(tmp_path):
    predictions, notes = opened(tmp_path, logits=LOGITS[..., :2], labels=TARGET > 1)
    assert np.array_equal(predictions.target, TARGET > 1)
    assert notes == ""


def test_names_of_labels_are_found_among_those_of_the_classes(tmp_path):
    order = np.array([2, 0, 3, 1])
    predictions, notes = opened(
        tmp_path, logits=LOGITS, labels=NAMES[order][TARGET], class_names=NAMES[order]
    )
    assert np.array_equal(predictions.target, TARGET)
    assert notes == ""
    with pytest.raises(ValueError, match="among the class_names, but 'cow' is not"):
        opened(tmp_path, logits=LOGITS, labels=np.array(["cow"] * 7), class_names=NAMES)


@pytest.mark.parametrize("none", [-1, -100, 255])
def test_samples_without_a_label_are_left_out_with_all_that_is_theirs(tmp_path, none):
    labels, known = TARGET.copy(), np.array([True, True, False, True, True, False, True])
    labels[~known] = none
    index, texts = np.array([9, 1, 7, 3, 5, 2, 4]), np.array(list("abcdefg"))
    predictions, notes = opened(
        tmp_path, logits=LOGITS, labels=labels, index=index, texts=texts, clusters=index // 2
    )
    order = np.argsort(index[known])
    assert np.array_equal(predictions.target, TARGET[known][order])
    assert np.array_equal(predictions.index, np.sort(index[known]))
    assert predictions.texts == tuple(texts[known][order])
    assert len(predictions.clusters) == 5
    assert np.array_equal(predictions.read(1, 4).numpy(), LOGITS[:, known][:, order][:, 1:4])
    assert f"left out: 2 of 7 samples, whose label is {none}" in notes


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (TARGET + 1, r"the first is 4 at row 3; do they start at 1\? Then save labels - 1"),
        (np.full(7, -1), "no sample has a label: all are -1 or empty; leave the labels out"),
        (TARGET - 2, "labels must lie in 0..3"),
        (np.where(TARGET == 0, -2, TARGET), "the first is -2"),
        (np.where(np.arange(7) == 2, np.nan, TARGET), "1 are no whole numbers, the first is nan"),
        (NAMES[TARGET % 3], "3 names .ant, bee, cat. for 4 classes, .* add class_names"),
        (TARGET > 1, "labels are true or false, but there are 4 classes"),
        (TARGET[:3], r"must be \(7 samples\), got \(3,\) .* scores.transpose\(1, 0, 2\)"),
        (TARGET[:5], r"must be \(7 samples\), got \(5,\) for scores \(3, 7, 4\)$"),
    ],
)
def test_labels_that_are_not_clear_are_refused_with_the_way_out(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, logits=LOGITS, labels=labels)


@pytest.mark.parametrize("name", ["targets", "y_true", "label_ids"])
def test_labels_under_another_name_are_found(tmp_path, name):
    predictions, notes = opened(tmp_path, logits=LOGITS, **{name: TARGET})
    assert np.array_equal(predictions.target, TARGET)
    assert notes == f"labels are read from '{name}'"


def test_what_is_not_used_is_said(tmp_path):
    _, notes = opened(tmp_path, logits=LOGITS, labels=TARGET, y=TARGET, features=np.zeros((7, 2)))
    assert notes == "not used: y, features"
    with pytest.raises(ValueError, match="y and target could each be the label; choose one with"):
        opened(tmp_path, logits=LOGITS, y=TARGET, target=TARGET)
    assert opened(tmp_path, logits=LOGITS, labels=TARGET)[1] == ""


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_probabilities_under_the_name_of_logits_are_probabilities(tmp_path, dtype):
    probs = torch.softmax(torch.from_numpy(LOGITS).double(), -1).numpy()
    predictions, notes = opened(tmp_path, logits=probs.astype(dtype), labels=TARGET)
    assert "logits are read as probs: rows are at least 0" in notes
    found = torch.softmax(predictions.read(0, 7).double(), -1).numpy()
    assert found == pytest.approx(probs, abs=2e-3 if dtype is np.float16 else 1e-7)


def test_log_probabilities_and_small_logits_stay_logits(tmp_path):
    probs = torch.softmax(torch.from_numpy(LOGITS).double(), -1).numpy()
    for scores in (np.log(probs), 0.1 * np.abs(LOGITS), probs - 0.25):
        predictions, notes = opened(tmp_path, logits=scores, labels=TARGET)
        assert ("if they are probabilities, call them probs" in notes) == (scores.min() >= 0)
        assert np.array_equal(predictions.read(0, 7).numpy(), scores)


def test_numbers_as_text_are_numbers_and_not_names_in_alphabetical_order(tmp_path):
    rng = np.random.default_rng(0)
    labels, votes = np.arange(24) % 12, rng.integers(12, size=(3, 24))
    predictions, _ = opened(
        tmp_path, logits=rng.normal(size=(3, 24, 12)), labels=labels.astype(str)
    )
    assert np.array_equal(predictions.target, labels)
    for given in (labels, labels.astype(str)):
        predictions, _ = opened(tmp_path, votes=votes.astype(str), labels=given)
        assert np.array_equal(predictions.target, labels)
        assert np.array_equal(predictions.read(0, 24).argmax(-1), votes)
    hint = "votes: do they start at 1"
    assert hint in opened(tmp_path, votes=votes % 4 + 1, labels=labels % 4)[1]
    assert hint not in opened(tmp_path, votes=votes % 4, labels=labels % 4)[1]
    with pytest.raises(ValueError, match="votes are names and labels are numbers; add class_names"):
        opened(tmp_path, votes=NAMES[rng.integers(4, size=(3, 24))], labels=labels)
    with pytest.raises(ValueError, match=r"must be integers, got float64; save votes.astype"):
        opened(tmp_path, votes=votes + 0.5, labels=labels)


def test_single_logits_that_all_lie_within_0_and_1_are_noted(tmp_path):
    assert "call them probs" in opened(tmp_path, logits=np.full((3, 7, 1), 0.5))[1]
    assert "call them probs" not in opened(tmp_path, logits=LOGITS[..., :1])[1]


def test_predictions_of_floats_are_scores(tmp_path):
    predictions, notes = opened(tmp_path, y_pred=LOGITS, y_true=TARGET)
    assert np.array_equal(predictions.read(0, 7), LOGITS)
    assert "scores are read as logits" in notes


def test_labels_beside_a_npy_are_said_to_be_of_the_folder(tmp_path):
    for name, array in (("logits", LOGITS), ("labels", TARGET)):
        np.save(tmp_path / f"{name}.npy", array)
    predictions, _ = open_predictions(tmp_path / "logits.npy")
    assert "not used: labels.npy beside it; give the folder" in predictions.notes[0]
    assert open_predictions(tmp_path)[0].target.tolist() == TARGET.tolist()


def test_ids_that_are_wrong_are_shown_in_one_line(tmp_path):
    with pytest.raises(
        ValueError, match="'index' must be 200 different integers, got 0, "
    ) as raised:
        opened(tmp_path, logits=np.zeros((3, 200, 4)), index=np.zeros(200, int))
    assert "\n" not in str(raised.value)
