"""Members that count with weights, through files and `bvalign analyze`."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bvalign import open_predictions
from bvalign.analysis.decompositions.weighted import weighted_decompose
from tests.ensembles import random_ensemble, save_npz

WEIGHTS = [2.0, 1.0, 0.5]


def save_folder(logits, target, weights):
    folder = Path("folder")
    folder.mkdir()
    for name, scores in zip("abc", logits, strict=True):
        np.save(folder / f"{name}.npy", scores)
    np.save(folder / "labels.npy", target)
    np.save(folder / "weights.npy", weights)
    return folder


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_analyze_gives_the_weighted_decomposition_beside_the_plain_one(bvalign, kind):
    logits, target = (a.numpy() for a in random_ensemble())
    if kind == "npz":
        path = save_npz(Path("p.npz"), logits, target, weights=np.array(WEIGHTS))
    else:
        path = save_folder(logits, target, np.array(WEIGHTS))
    bvalign("analyze", path, "--out", "out")
    bvalign("analyze", save_npz(Path("plain.npz"), logits, target), "--out", "plain")
    found, plain = (json.loads(Path(o, "summary.json").read_text()) for o in ("out", "plain"))
    expected = weighted_decompose(
        torch.tensor(logits), torch.tensor(target), torch.tensor(WEIGHTS)
    )._asdict()
    rows = list(csv.DictReader(Path("out/samples.csv").read_text().splitlines()))
    for name, values in expected.items():
        column = [float(row[f"weighted_{name}"]) for row in rows]
        assert column == pytest.approx(values.double().tolist(), rel=1e-12), name
        if name != "correct":
            mean = found["weighted"][name]["value"]
            assert mean == pytest.approx(float(values.mean()), rel=1e-12), name
    assert found["weighted"].keys() == expected.keys() - {"correct"}
    assert found["means"] == plain["means"]
    assert plain["weighted"] is None
    assert any("slopes and figures, every member counts once" in n for n in found["notes"])


def test_a_copy_adds_its_weight_to_its_original(tmp_path):
    logits, target = (a.numpy() for a in random_ensemble())
    members = np.stack([*logits, logits[1]])
    path = save_npz(tmp_path / "p.npz", members, target, weights=np.array([2, 1, 3, 4]))
    predictions, _ = open_predictions(path)
    assert predictions.members == (0, 1, 2)
    assert predictions.weights == (2, 5, 3)


def test_without_labels_weights_are_said_to_be_unused(tmp_path):
    logits = random_ensemble()[0].numpy()
    np.savez(tmp_path / "p.npz", logits=logits, weights=np.array(WEIGHTS))
    assert "weights: not used" in open_predictions(tmp_path / "p.npz")[0].notes[0]


@pytest.mark.parametrize(
    "weights", [[1, 2], [1, 2, 0], [1, 2, -1], [1, 2, np.nan], ["a", "b", "c"]]
)
def test_weights_must_be_positive_numbers(tmp_path, weights):
    logits, target = (a.numpy() for a in random_ensemble())
    path = save_npz(tmp_path / "p.npz", logits, target, weights=np.array(weights))
    with pytest.raises(ValueError, match="'weights' must be 3 positive finite numbers.*leave out"):
        open_predictions(path)
