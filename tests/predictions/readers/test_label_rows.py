"""Labels that are rows over the classes: soft labels and counts of answers, or the way out."""

import numpy as np
import pytest

from bvalign import open_predictions
from tests.ensembles import random_ensemble

LOGITS, TARGET = (a.numpy() for a in random_ensemble(members=3, samples=7, classes=4, seed=2))
COUNTS = np.array(
    [
        [50, 0, 0, 1],
        [3, 44, 2, 0],
        [0, 0, 51, 0],
        [1, 1, 0, 47],
        [9, 20, 20, 1],
        [2, 0, 1, 0],
        [0, 1, 0, 0],
    ]
)
SOFT = COUNTS / COUNTS.sum(axis=1, keepdims=True)
MOST_PROBABLE = [0, 1, 2, 3, 1, 0, 1]


def opened(path, labels, **more):
    np.savez(path / "p.npz", logits=LOGITS, labels=labels, **more)
    predictions, _ = open_predictions(path / "p.npz")
    return predictions, " | ".join(predictions.notes)


@pytest.mark.parametrize(
    ("dtype", "error"), [(np.float64, 0), (np.float32, 1e-7), (np.float16, 1e-3)]
)
def test_rows_that_sum_to_one_are_soft_labels(tmp_path, dtype, error):
    predictions, notes = opened(tmp_path, SOFT.astype(dtype))
    assert predictions.soft_labels == pytest.approx(SOFT, abs=error)
    assert predictions.soft_labels.dtype == np.float64
    assert predictions.soft_labels.sum(axis=1) == pytest.approx(np.ones(7), abs=1e-15)
    assert predictions.target.tolist() == MOST_PROBABLE
    assert predictions.answers is None
    assert "correct means that the most probable class of the label is hit" in notes
    assert "1 of 7 samples have several such classes: the lowest counts" in notes


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
def test_counts_of_answers_are_divided_by_their_sum(tmp_path, dtype):
    predictions, notes = opened(tmp_path, COUNTS.astype(dtype))
    assert np.array_equal(predictions.soft_labels, SOFT)
    assert np.array_equal(predictions.answers, COUNTS.sum(axis=1))
    assert predictions.target.tolist() == MOST_PROBABLE
    n = COUNTS.sum(axis=1)[:6]
    off = ((1 - (SOFT[:6] ** 2).sum(axis=1)) / (n - 1)).sum() / 7
    assert "labels are counts of 1 to 51 answers a sample" in notes
    assert f"too high, by about {off:.2g}; 1 samples have a single answer" in notes


def test_soft_labels_follow_the_order_of_their_samples(tmp_path):
    index = np.array([9, 1, 7, 3, 5, 2, 4])
    predictions, _ = opened(tmp_path, COUNTS, index=index)
    order = np.argsort(index)
    assert np.array_equal(predictions.soft_labels, SOFT[order])
    assert np.array_equal(predictions.answers, COUNTS.sum(axis=1)[order])
    assert np.array_equal(predictions.target, SOFT[order].argmax(axis=1))


def test_a_folder_of_members_has_soft_labels_too(tmp_path):
    for member, logits in enumerate(LOGITS):
        np.save(tmp_path / f"seed{member}.npy", logits)
    np.save(tmp_path / "labels.npy", COUNTS)
    predictions, _ = open_predictions(tmp_path)
    assert np.array_equal(predictions.soft_labels, SOFT)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            0.9 * SOFT,
            r"7 rows do not sum to one, the first is row 0, sum 0.9; save labels / labels",
        ),
        (SOFT + np.eye(7, 4), r"4 rows do not sum to one, the first is row 0, sum 2"),
        (SOFT - [[0, 0.1, 0, -0.1]], "row 0 has negative numbers or NaN; save probabilities"),
        (np.where(np.eye(7, 4, -5) == 1, np.nan, SOFT), "row 5 has negative numbers or NaN"),
        (np.log(SOFT + 1e-9), r"row 0 has negative .* or class ids by labels.argmax\(-1\)"),
        (
            COUNTS * [[1], [0], [1], [1], [0], [1], [1]],
            "2 rows are empty, the first is row 1; leave",
        ),
        (
            np.ones((7, 4), dtype=int),
            "samples have several labels; .* with --task 0 or 1 or 2 or 3",
        ),
        (SOFT > 0, "samples have several labels; .* answers of people, save labels"),
        (np.zeros((7, 4)), "7 rows are empty"),
        (COUNTS[:, :3], r"must be \(7 samples\), got \(7, 3\)"),
    ],
)
def test_other_rows_are_refused_with_the_way_out(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message) as refused:
        opened(tmp_path, labels)
    assert "\n" not in str(refused.value)
