import numpy as np
import pytest
import torch

from bvalign import open_predictions
from bvalign.analysis.decompositions.squared_loss import decompose, moments
from tests.ensembles import random_ensemble, save_npz

LOGITS, TARGET = (x.numpy() for x in random_ensemble(members=3, samples=5, classes=4))


def read(path):
    predictions, _ = open_predictions(path)
    ranges = list(predictions.ranges())
    return predictions, torch.cat([r[0] for r in ranges], dim=1), torch.cat([r[1] for r in ranges])


def test_logits_are_read_and_sorted_by_index(tmp_path):
    index = np.array([7, 3, 9, 1, 4])
    path = save_npz(tmp_path / "p.npz", LOGITS, TARGET, index=index, members=[5, 2, 8])
    predictions, logits, target = read(path)
    order = np.argsort(index)
    assert predictions.index.tolist() == sorted(index)
    assert predictions.members == (5, 2, 8)
    assert np.array_equal(logits.numpy(), LOGITS[:, order])
    assert np.array_equal(target.numpy(), TARGET[order])


def test_probabilities_give_the_same_statistics(tmp_path):
    probs = torch.softmax(torch.from_numpy(LOGITS).double(), -1).numpy()
    np.savez(tmp_path / "p.npz", probs=probs, labels=TARGET)
    _, logits, target = read(tmp_path / "p.npz")
    found = decompose(moments(logits, target), target)
    expected = decompose(moments(torch.from_numpy(LOGITS), target), target)
    for a, b in zip(found[:5], expected[:5], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=0)


def test_ranges_cover_all_samples_once(tmp_path, monkeypatch):
    monkeypatch.setattr("bvalign.predictions.predictions.RANGE_BYTES", 8 * 3 * 4 * 2)
    predictions, logits, target = read(save_npz(tmp_path / "p.npz", LOGITS, TARGET))
    assert (predictions.samples_per_range, predictions.num_ranges) == (2, 3)
    assert np.array_equal(logits.numpy(), LOGITS)
    assert np.array_equal(target.numpy(), TARGET)
    for number, samples in enumerate((slice(0, 2), slice(2, 4), slice(4, 5))):
        start, logits, target = predictions.range(number)
        assert start == samples.start
        assert np.array_equal(logits.numpy(), LOGITS[:, samples])
        assert np.array_equal(target.numpy(), TARGET[samples])


def test_a_sample_larger_than_a_range_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr("bvalign.predictions.predictions.RANGE_BYTES", 8)
    predictions, logits, _ = read(save_npz(tmp_path / "p.npz", LOGITS, TARGET))
    assert (predictions.samples_per_range, predictions.num_ranges) == (1, 5)
    assert np.array_equal(logits.numpy(), LOGITS)


def test_precision_is_told(tmp_path):
    path = save_npz(tmp_path / "p.npz", LOGITS.astype(np.float16), TARGET)
    assert "float16 costs digits" in read(path)[0].notes[0]
    probs = np.zeros((2, 3, 4))
    probs[..., 1] = 1
    probs[0, 2] = 0.25
    np.savez(path, probs=probs, labels=np.ones(3, int))
    assert "3 of 3 samples have a probability rounded to one" in read(path)[0].notes[0]


def changed(array, at, value):
    array = array.copy()
    array[at] = value
    return array


PROBS = torch.softmax(torch.from_numpy(LOGITS).double(), -1).numpy()


@pytest.mark.parametrize(
    ("message", "arrays"),
    [
        ("needs an array 'logits' or 'probs'.* has labels", {"labels": TARGET}),
        (r"'logits' \(5, 4\) may be one member .* or the single output", {"logits": LOGITS[0]}),
        (r"must be \(members, samples, classes\)", {"logits": LOGITS[None], "labels": TARGET}),
        (r"'labels' must be \(5 samples\), got \(4,\)", {"logits": LOGITS, "labels": TARGET[:4]}),
        ("needs at least one member", {"logits": LOGITS[:0], "labels": TARGET}),
        ("one sample", {"logits": LOGITS[:, :0], "labels": TARGET[:0]}),
        ("one class", {"logits": LOGITS[..., :0], "labels": TARGET * 0}),
        ("must be floating point", {"logits": LOGITS.astype(int), "labels": TARGET}),
        ("5 are no whole numbers", {"logits": LOGITS, "labels": TARGET + 0.5}),
        (r"labels must lie in 0\.\.3, but 1 do not, the first is 4 at row 2",
         {"logits": LOGITS, "labels": changed(TARGET, 2, 4)}),
        ("'index' must be 5 different", {"logits": LOGITS, "labels": TARGET, "index": [0] * 5}),
        ("'members' must be 3 different", {"logits": LOGITS, "labels": TARGET, "members": [1, 2]}),
        ("sum to one .* 1 rows do not; the first is member 1, sample 2",
         {"probs": changed(PROBS, (1, 2, 0), 0.99), "labels": TARGET}),
        ("at least 0", {"probs": changed(PROBS, (0, 0), [-1, 1, 1, 0]), "labels": TARGET}),
        (r"NaN or inf: member 1 \(1 of 5 samples\)",
         {"logits": changed(LOGITS, (1, 2), np.nan), "labels": TARGET}),
        (r"member 0 \(2 of 5 samples\), member 2 \(1 of 5 samples\)",
         {"logits": changed(changed(LOGITS, (0, [1, 3]), np.inf), (2, 0), -np.inf),
          "labels": TARGET}),
    ],
)  # fmt: skip
def test_bad_arrays_are_told(tmp_path, message, arrays):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "p.npz")


def test_members_with_other_samples_are_named(tmp_path):
    index = np.tile(np.arange(5) + 10, (3, 1))
    for wrong, message in (
        ([10, 11, 13, 12, 14], r"member 8 \(2 of 5 samples\).*13 instead of 12 at row 2.*order"),
        ([10, 11, 12, 13, 15], r"'index' differs.*member 8 \(1 of 5.* 15 instead of 14 at row 4"),
    ):
        given = {"index": changed(index, 2, wrong), "members": [5, 2, 8]}
        path = save_npz(tmp_path / "p.npz", LOGITS, TARGET, **given)
        with pytest.raises(ValueError, match=message):
            read(path)
    labels = np.tile(TARGET, (3, 1))
    assert read(save_npz(path, LOGITS, labels, index=index))[0].index.tolist() == index[0].tolist()
    labels[1, 3] = (labels[1, 3] + 1) % 4
    with pytest.raises(ValueError, match=r"'labels' differs .*member 1 \(1 of 5 samples\).* row 3"):
        read(save_npz(path, LOGITS, labels))


def test_some_classes_at_minus_infinity_are_no_fault(tmp_path):
    logits = changed(changed(LOGITS, (0, 0, 1), -np.inf), (1, 2), np.nan)
    with pytest.raises(ValueError, match=r"inf: member 1 \(1 of 5 samples\); leave"):
        read(save_npz(tmp_path / "p.npz", logits, TARGET))


VOTES = np.array([[0, 1, 2, 3, 0], [0, 1, 1, 3, 5], [0, 2, 2, 3, 0]])


@pytest.mark.parametrize("key", ["votes", "predictions"])
def test_votes_are_probabilities_of_one(tmp_path, key):
    labels = np.array([0, 1, 2, 1, 0])
    np.savez(tmp_path / "p.npz", labels=labels, **{key: VOTES})
    predictions, logits, target = read(tmp_path / "p.npz")
    assert predictions.num_classes == 6
    assert "2 of 5 by agreement alone" in predictions.notes[-1]
    found = decompose(moments(logits, target), target)
    error_rate = (labels != VOTES).mean(axis=0)
    assert np.allclose(found.risk.numpy(), 2 * error_rate, rtol=0, atol=1e-12)
    # sample 1 by hand: votes 1, 1, 2 at label 1: bias (1/3)^2 twice; one wrong member, so no pair
    assert found.bias_sq[1].item() == pytest.approx(2 / 9, abs=1e-12)
    assert found.bias_sq_unbiased[1].item() == 0


@pytest.mark.parametrize(
    ("message", "arrays"),
    [
        ("votes are class ids from 0 on, got -1", {"votes": VOTES - 1}),
        ("'votes' must be integers, got float64", {"votes": VOTES + 0.0}),
        (r"'votes' must be \(members, samples\)", {"votes": VOTES[..., None]}),
        ("labels must lie in 0..1", {"predictions": VOTES + 0.5}),
        (r"labels are class ids from 0 on, got -2", {"votes": VOTES, "labels": [0, 1, -2, 1, 0]}),
    ],
)
def test_bad_votes_are_told(tmp_path, message, arrays):
    np.savez(tmp_path / "p.npz", **({"labels": TARGET} | arrays))
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "p.npz")


def test_precision_counts_samples(tmp_path):
    probs = np.zeros((2, 3, 4), np.float16)
    probs[..., 1] = 1
    probs[:, 2] = 0.25
    path = tmp_path / "p.npz"
    np.savez(path, probs=probs, labels=np.ones(3, int))
    notes = read(path)[0].notes
    assert notes[0].startswith("probs: 2 of 3 samples have a probability rounded to one")
    assert "float16 costs digits: the squared bias of 2 of 3 samples may be off by 1%" in notes[1]
    assert not read(save_npz(path, LOGITS, TARGET))[0].notes


def test_half_logits_count_the_samples_whose_squared_bias_moves(tmp_path):
    logits = LOGITS / np.abs(LOGITS).max(axis=(0, 2), keepdims=True)
    logits[:, 1] *= 5.2  # eps of float16 is 2^-10: 2 eps |z| reaches 1% at 5.12
    path = save_npz(tmp_path / "p.npz", logits.astype(np.float16), TARGET)
    predictions, half, target = read(path)
    assert "squared bias of 1 of 5 samples may be off by 1%" in predictions.notes[0]
    exact = decompose(moments(torch.from_numpy(logits), target), target).bias_sq
    moved = decompose(moments(half, target), target).bias_sq / exact - 1
    assert (moved.abs() < 2 * 2**-10 * 5.2).all()


def test_exact_copies_of_members_are_left_out_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr("bvalign.predictions.predictions.RANGE_BYTES", 8 * 6 * 4 * 2)
    late = LOGITS[2].copy()
    late[-1, 0] += 1  # differs in the last range only
    members = np.stack([*LOGITS, LOGITS[0], late, LOGITS[0]])
    predictions, logits, _ = read(save_npz(tmp_path / "p.npz", members, TARGET))
    assert predictions.members == (0, 1, 2, 4)
    assert np.array_equal(logits.numpy(), members[[0, 1, 2, 4]])
    assert predictions.notes == ("left out, exact copies: member 3 of 0, member 5 of 0",)
    votes = np.stack([VOTES[0], VOTES[0]])
    np.savez(tmp_path / "v.npz", votes=votes, labels=TARGET)
    assert len(read(tmp_path / "v.npz")[0].members) == 2  # votes may agree by themselves


def test_nan_probabilities_are_named_by_member(tmp_path):
    np.savez(tmp_path / "p.npz", probs=changed(PROBS, (1, [0, 2], 3), np.nan), labels=TARGET)
    with pytest.raises(ValueError, match=r"'probs' are NaN: member 1 \(2 of 5 samples\); leave"):
        read(tmp_path / "p.npz")


def test_nothing_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read(tmp_path / "missing.npz")
    with pytest.raises(ValueError, match=r"no run.json"):
        read(tmp_path)
