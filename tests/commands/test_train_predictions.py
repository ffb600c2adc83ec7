"""Predictions on training samples, stored and analysed out of fold."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from bvalign import RunDirectory, analyze
from bvalign.data import Digits
from bvalign.ensemble.pack import initial_network
from tests.processes import TINY

FOLDS = "--model.randomness.bootstrap=kfold --model.randomness.folds=2".split()
NOISE = "--data.label_noise=0.1"
TRAIN = "--predictions.train=true"
ROOT = Path("runs/digits-mlp")


def digits():
    data = Digits(num_train=100, num_test=57, label_noise=0.1)
    data.setup()
    return data


def by_hand(member, data):
    """Logits of one network alone on the training images, without augmentation."""
    network = initial_network(0, "mlp", 10, data.image_shape, {"width": 8})
    network.load_state_dict(RunDirectory(ROOT).member(member).weights())
    with torch.no_grad():
        return network.eval()(data.normalise(torch.from_numpy(data.arrays.train_images)))


def modified(pattern="members/*/*"):
    return {file: file.stat().st_mtime_ns for file in ROOT.glob(pattern)}


def test_members_are_judged_out_of_fold(fit, bvalign, capsys):
    options = [*FOLDS, NOISE, "--model.members=4", "--model.pack_size=3"]
    fit(*options)
    before, data = modified(), digits()
    with pytest.raises(SystemExit, match="no predictions on the training samples are stored"):
        bvalign("analyze", ROOT, "--split", "train", "--out", "out")
    fit(*options, TRAIN)  # of members that were finished before
    assert "predictions of 4 members on the training samples are stored" in capsys.readouterr().err
    after = modified()
    assert {file: after[file] for file in before} == before

    run = RunDirectory(ROOT)
    seen = np.stack([run.member(member).seen().numpy() for member in range(4)])
    assert (seen.sum(axis=0) == 2).all()
    assert (seen[0] ^ seen[1]).all()
    assert (seen[2] ^ seen[3]).all()
    logits = torch.stack([by_hand(member, data) for member in range(4)])
    for member in range(4):
        here = run.member(member).open_logits("train").take(slice(None))[0]
        torch.testing.assert_close(here, logits[member], rtol=1e-5, atol=1e-5)

    # each sample by the two members that have not seen it, against the labels as trained on
    bvalign("analyze", ROOT, "--split", "train", "--out", "out")
    summary = json.loads(Path("out/summary.json").read_text())
    assert (summary["num_members"], summary["num_samples"]) == (2, 100)
    assert summary["provenance"]["split"] == "train"
    assert any("2 of these judge it" in note for note in summary["notes"])
    result = analyze(ROOT, split="train")
    label = data.arrays.train_target
    assert np.array_equal(result["label"], label)
    assert np.array_equal(result["num_unseen"], np.full(100, 2))
    for row in range(100):
        probs = logits[~seen[:, row], row].double().softmax(dim=-1).mean(dim=0)
        probs[label[row]] -= 1
        assert result["bias_sq"][row] == pytest.approx(float(probs @ probs), rel=1e-5)
    with np.load(ROOT / "samples-train.npz") as samples:
        assert np.array_equal(samples["target"], label)
        assert (samples["clean_target"] != label).sum() == 10
        assert np.array_equal(samples["images"], data.arrays.train_images)

    # only what is damaged or missing is predicted again, by `test` too
    (ROOT / "members" / "0001" / "train.safetensors").write_bytes(b"cut")
    (ROOT / "members" / "0002" / "train.safetensors").unlink()
    with_note = analyze(ROOT, split="train")
    assert "without predictions on the training samples: members [1, 2]" in with_note.notes
    evaluate = partial(bvalign, "test", *TINY, "--trainer.logger=false", *FOLDS, TRAIN)
    evaluate(NOISE)
    again = modified()
    assert {f for f in after if again[f] != after[f]} == {
        ROOT / "members" / f"000{m}" / "train.safetensors" for m in (1, 2)
    }
    np.testing.assert_array_equal(analyze(ROOT, split="train")["bias_sq"], result["bias_sq"])
    with pytest.raises(SystemExit, match="another identity .*data.label_noise: 0.1 there, 0.0 now"):
        evaluate(f"--trainer.default_root_dir={ROOT}")


def test_what_cannot_be_judged_is_one_line(fit, bvalign):
    fit("--model.members=2", TRAIN)
    with pytest.raises(SystemExit, match="all 2 members were trained on all 100 training samples"):
        bvalign("analyze", ROOT, "--split", "train", "--out", "out")
    np.savez("p.npz", logits=np.zeros((2, 3, 4)), labels=np.zeros(3, int))
    with pytest.raises(SystemExit, match="only a run directory has a split train"):
        bvalign("analyze", "p.npz", "--split", "train", "--out", "out")
    with pytest.raises(ValueError, match="split must be test or train, got val"):
        analyze(ROOT, split="val")


def test_labels_of_each_members_own_are_analysed_as_those_of_the_data(fit):
    fit(*FOLDS, NOISE, "--data.label_noise_of=member", "--model.members=4", TRAIN)
    data = Digits(num_train=100)
    data.setup()
    assert np.array_equal(analyze(ROOT, split="train")["label"], data.arrays.train_target)
