"""Probabilities as people save them: rounded, a hair below zero, all 0 or 1, under other names."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bvalign import open_predictions
from bvalign.analysis.decompositions.squared_loss import decompose, moments
from tests.ensembles import mixed_ensemble

LOGITS, TARGET = mixed_ensemble(members=4, samples=30, classes=5)
PROBS = torch.softmax(LOGITS, dim=-1)


def opened(folder, **arrays):
    np.savez(folder / "p.npz", labels=TARGET.numpy(), **arrays)
    return open_predictions(folder / "p.npz")[0]


def bias_sq(predictions):
    logits = predictions.read(0, predictions.num_samples)
    return float(decompose(moments(logits, TARGET), TARGET).bias_sq.mean())


EXACT = float(decompose(moments(LOGITS, TARGET), TARGET).bias_sq.mean())


@pytest.mark.parametrize("name", ["probs", "logits"])
def test_probabilities_in_bfloat16_are_taken_with_a_note(tmp_path, name):
    for member, probs in enumerate(PROBS.bfloat16()):
        save_file({name: probs.contiguous()}, tmp_path / f"{member}.safetensors")
    np.save(tmp_path / "labels.npy", TARGET.numpy())
    predictions, _ = open_predictions(tmp_path)
    off = float((PROBS.bfloat16().double().sum(dim=-1) - 1).abs().max())
    assert off > 1e-3
    expected = f"sums over classes are up to {off:.2g} from one (bfloat16); each row is divided"
    assert expected in " ".join(predictions.notes)
    assert bias_sq(predictions) == pytest.approx(EXACT, rel=2**-7)


@pytest.mark.parametrize("decimals", [2, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rounded_probabilities_are_taken_with_a_note(tmp_path, decimals, dtype):
    predictions = opened(tmp_path, probs=PROBS.numpy().round(decimals).astype(dtype))
    assert f"(rounded to {decimals} decimals); each row is divided" in " ".join(predictions.notes)
    assert bias_sq(predictions) == pytest.approx(EXACT, abs=5 * 10.0**-decimals)


def test_rounded_probabilities_of_a_table_are_taken(tmp_path):
    rows = ["member,sample,label," + ",".join(f"p{k}" for k in range(5))]
    for m in range(4):
        for n in range(30):
            cells = ",".join(f"{p:.3f}" for p in PROBS[m, n])
            rows.append(f"{m},{n},{TARGET[n]},{cells}")
    (tmp_path / "p.csv").write_text("\n".join(rows))
    predictions, _ = open_predictions(tmp_path / "p.csv")
    assert "(rounded to 3 decimals)" in predictions.notes[0]
    assert bias_sq(predictions) == pytest.approx(EXACT, abs=5e-3)


def test_exact_probabilities_have_no_note(tmp_path):
    for probs in (PROBS.numpy(), PROBS.float().numpy()):
        assert opened(tmp_path, probs=probs).notes == ()


def test_what_rounding_leaves_below_zero_is_zero(tmp_path):
    probs = PROBS.numpy().copy()
    probs[1, 2] = [1, 0, 0, 0, -1e-17]
    found = opened(tmp_path, probs=probs).read(2, 3)
    assert found[1, 0].tolist() == [0, *[-np.inf] * 4]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1, 0, 0, 1e-3, -1e-3], "sum 1, smallest entry -0.001; scores before the softmax are"),
        ([50, 25, 24.9, 0.1, 0], "sum 100; percentages must be divided by 100"),
        ([0.5, 0.2, 0.2, 0, 0], r"sum 0.9; .* save probs / probs.sum\(-1, keepdims=True\)"),
    ],
)
@pytest.mark.parametrize("decimals", [None, 3])
def test_other_rows_are_refused_with_their_values(tmp_path, row, message, decimals):
    probs = PROBS.numpy().copy() if decimals is None else PROBS.numpy().round(decimals)
    probs[1, 2] = row
    with pytest.raises(
        ValueError, match=f"1 rows do not; the first is member 1, sample 2, {message}"
    ):
        opened(tmp_path, probs=probs)


@pytest.mark.parametrize("name", ["probs", "logits"])
def test_probabilities_of_zero_and_one_are_votes(tmp_path, name):
    votes = LOGITS.argmax(dim=-1)
    votes[3] = votes[2]  # agree by themselves
    votes[votes == 4] = 3  # the last class has no vote
    predictions = opened(tmp_path, **{name: np.eye(5)[votes]})
    assert predictions.members == (0, 1, 2, 3)
    assert predictions.num_classes == 5
    notes = " ".join(predictions.notes)
    assert "exactly 0 or 1, so they are read as votes" in notes
    assert "votes: each counts as probability one" in notes
    assert torch.equal(predictions.read(0, 30).argmax(dim=-1), votes)


def test_logits_that_leave_one_class_are_votes(tmp_path):
    logits = np.full((2, 30, 5), -np.inf)
    logits[..., 1] = 3.5
    assert opened(tmp_path, logits=logits).members == (0, 1)


def test_log_probabilities_under_the_name_of_probs_are_logits(tmp_path):
    predictions = opened(tmp_path, probs=torch.log_softmax(LOGITS, dim=-1).float().numpy())
    assert "probs are read as logits: rows are logarithms of probabilities" in predictions.notes[0]
    assert bias_sq(predictions) == pytest.approx(EXACT, rel=1e-6)


@pytest.mark.parametrize("key", ["index", "members"])
def test_ids_that_are_whole_floats_are_taken(tmp_path, key):
    ids = np.arange(30 if key == "index" else 4)[::-1] * 3.0
    found = getattr(opened(tmp_path, logits=LOGITS.numpy(), **{key: ids}), key)
    assert sorted(found) == sorted(ids)
    assert {type(number) for number in list(found)} <= {int, np.int64}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"index": np.arange(30, dtype=np.uint64) + 2**63},
            "'index' must be below 2.*63, got 9223",
        ),
        ({"members": np.arange(4) * 1e16}, r"'members' holds floats above 2\*\*53"),
        ({"index": np.arange(30) + 0.5}, "'index' must be 30 different integers"),
        ({"members": np.array([0, 1, 2, np.nan])}, "'members' must be 4 different integers"),
    ],
)
def test_ids_that_would_wrap_around_or_merge_are_refused(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, logits=LOGITS.numpy(), **arrays)


@pytest.mark.parametrize("label", [2**64 - 100, 2**63])
def test_labels_that_would_wrap_around_are_refused(tmp_path, label):
    labels = TARGET.numpy().astype(np.uint64)
    labels[3] = label
    np.savez(tmp_path / "p.npz", logits=LOGITS.numpy(), labels=labels)
    with pytest.raises(ValueError, match=rf"labels must be below 2\*\*63, got {label}"):
        open_predictions(tmp_path / "p.npz")
