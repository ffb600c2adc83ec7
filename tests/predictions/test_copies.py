"""Members that are copies of each other, exactly or up to what softmax does not see."""

import numpy as np
import pytest
import torch

from bvalign import open_predictions
from tests.ensembles import random_ensemble, save_npz

LOGITS, TARGET = (x.numpy() for x in random_ensemble(members=3, samples=9, classes=4))


def opened(folder, *members, dtype=np.float32, **more):
    logits = np.stack(members).astype(dtype)
    return open_predictions(save_npz(folder / "p.npz", logits, TARGET, **more))[0]


def shifted(logits, size=30.0):
    return logits + size * np.random.default_rng(0).standard_normal((9, 1))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("rows", [9, 2])
def test_members_that_differ_by_a_constant_per_sample_are_copies(
    tmp_path, monkeypatch, dtype, rows
):
    monkeypatch.setattr("bvalign.predictions.predictions.RANGE_BYTES", 8 * 6 * 4 * rows)
    late = shifted(LOGITS[2])
    late[-1, 0] += 1  # differs in the last range only
    log_probs = torch.log_softmax(torch.from_numpy(LOGITS[1]).double(), dim=-1).numpy()
    members = (*LOGITS, shifted(LOGITS[0]), late, log_probs, LOGITS[0])
    predictions = opened(tmp_path, *members, dtype=dtype)
    assert predictions.members == (0, 1, 2, 4)
    assert [note for note in predictions.notes if "left out" in note] == [
        "left out, exact copies: member 6 of 0",
        "left out, the same probabilities up to rounding: member 3 of 0, member 5 of 1",
    ]
    assert predictions.read(0, 9).shape == (4, 9, 4)


def test_excluded_classes_are_part_of_the_comparison(tmp_path):
    without = LOGITS[0].copy()
    without[:, 1] = -np.inf
    predictions = opened(tmp_path, LOGITS[0], without, shifted(without), shifted(LOGITS[0]))
    assert predictions.members == (0, 1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_members_that_differ_by_more_than_rounding_are_no_copies(tmp_path, dtype):
    noise = np.random.default_rng(1).standard_normal(LOGITS.shape)
    members = LOGITS[:1] + 100 * np.finfo(dtype).eps * noise
    assert len(opened(tmp_path, *members, dtype=dtype).members) == 3


def test_probabilities_of_shifted_logits_are_copies(tmp_path):
    logits = torch.from_numpy(np.stack([*LOGITS, shifted(LOGITS[1], 3.0)]))
    probs = torch.softmax(logits, dim=-1).float().numpy()
    probs[3] = np.nextafter(probs[3], 0)
    np.savez(tmp_path / "p.npz", probs=probs, labels=TARGET)
    assert open_predictions(tmp_path / "p.npz")[0].members == (0, 1, 2)


def test_a_copy_adds_its_weight_to_its_original(tmp_path):
    predictions = opened(tmp_path, LOGITS[0], LOGITS[1], shifted(LOGITS[0]), weights=[1, 2, 4.0])
    assert predictions.weights == (5.0, 2.0)
