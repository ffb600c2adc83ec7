"""Members that were trained once are kept as logits, and not trained again."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bvalign.predictions import RunDirectory
from tests import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "lab"))

import kept
import study
import study_run

LISTED = """
small:
  config: configs/digits.yaml
  set: {data.num_train: 100, data.num_test: 57, data.batch_size: 50, model.arch: mlp,
    model.width: 8, model.members: MEMBERS, model.pack_size: 2, trainer.max_epochs: 1,
    trainer.check_val_every_n_epoch: 1}
"""


@pytest.fixture
def make(monkeypatch, tmp_path, without_figures):
    """Runs kept.py on a folder of the test, whose ensemble has so many members."""
    folder = tmp_path / "kept"
    folder.mkdir()

    def run(members, *arguments):
        (folder / "ensembles.yaml").write_text(LISTED.replace("MEMBERS", str(members)))
        places = ("--folder", str(folder), "--runs", str(tmp_path / "runs"))
        monkeypatch.setattr(sys, "argv", ["kept.py", *arguments, *places])
        kept.main()
        return kept.ensembles(folder, tmp_path / "runs")["small"]

    return run


@pytest.mark.slow
def test_kept_members_are_not_trained_again(make, bvalign, tmp_path, capsys, monkeypatch):
    run, folder = make(3), tmp_path / "kept" / "small"
    assert "small: kept members 0, 1, 2\n" in capsys.readouterr().out
    assert {file.name for file in folder.iterdir()} == {
        *("identity.json", "labels.npy", "index.npy"),
        *(f"{member}.safetensors" for member in range(3)),
    }
    assert len(np.load(folder / "labels.npy")) == len(np.load(folder / "index.npy")) == 57
    assert load_file(folder / "2.safetensors")["logits"].dtype == torch.float32
    told = json.loads((folder / "identity.json").read_text())
    assert told["members"]["2"]["plan"]
    assert told["members"]["2"]["end"]["epoch"] == 1
    assert 0 < told["members"]["2"]["end"]["val_accuracy"] < 1
    assert [cost["members"] for cost in told["costs"]] == [[0, 1, 2]]
    assert told["costs"][0]["seconds"] > 0
    assert told["class_names"] == list("0123456789")

    reference = RunDirectory(run.path)
    run.path.rename(tmp_path / "away")
    reference = RunDirectory(tmp_path / "away")
    trained = []
    monkeypatch.setattr(
        "bvalign.ensemble.module.Ensemble.on_train_start",
        lambda module: trained.extend(module.members),
    )
    again = make(5)  # other options are another folder of runs, and the same identity
    assert trained == [3, 4]
    out = capsys.readouterr().out
    assert "small: known members 0, 1, 2\n" in out
    assert "small: kept members 3, 4\n" in out
    found = RunDirectory(again.path)
    assert found.finished()[0] == [0, 1, 2, 3, 4]
    for member in range(3):
        assert torch.equal(found.member(member).logits(), reference.member(member).logits())
    bare = "only logits are kept, no weights, of members [0, 1, 2]"
    assert bare in found.predictions().notes
    assert bare in json.loads((again.path / "summary.json").read_text())["notes"]
    make(5, "--workers", "0")
    assert capsys.readouterr().out == "small: kept no new members\n"
    bvalign("analyze", folder, "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out/summary.json").read_text())["num_members"] == 5

    # a study analyses them without data and without training
    monkeypatch.setattr(study_run, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(study, "KEPT", tmp_path / "kept")
    of_study = study_run.StudyRun("any", "ensemble", "small", {}, tmp_path / "study")
    assert study.obtain(of_study) is None
    assert of_study.finished
    assert trained == [3, 4]
    ours, theirs = (
        json.loads((one.path / "summary.json").read_text()) for one in (of_study, again)
    )
    assert ours["means"] == theirs["means"]
    assert ours["data"] == theirs["data"]
    assert torch.equal(
        next(study_run.predictions_of(of_study.path).ranges())[0],
        next(found.predictions().ranges())[0],
    )

    more = make(7, "--workers", "2")
    assert RunDirectory(more.path).finished()[0] == list(range(7))
    costs = json.loads((folder / "identity.json").read_text())["costs"]
    assert [cost["members"] for cost in costs] == [[0, 1, 2], [3, 4], [5, 6]]
    total = sum(cost["cpu_seconds"] for cost in costs)
    assert study_run.training_cost("small")["cpu_seconds"] == pytest.approx(total, abs=0.1)


def test_members_of_another_identity_are_told_in_one_line(make, tmp_path):
    make(1)
    identity = tmp_path / "kept/small/identity.json"
    told = json.loads(identity.read_text())
    told["identity"]["model.lr"] = 0.2
    identity.write_text(json.dumps(told))
    with pytest.raises(SystemExit, match=r"another identity.*model.lr: 0.2 there, 0.1 now"):
        make(1)
    told["identity"]["model.lr"] = 0.1
    identity.write_text(json.dumps(told))
    (tmp_path / "kept/small/0.safetensors").write_bytes(b"broken")
    with pytest.raises(SystemExit, match=r"0.safetensors: damaged .* from the repository again"):
        make(2)
    with pytest.raises(SystemExit):
        make(1, "nothing")


def test_others_are_analysed_where_they_lie(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "b.npz", logits=rng.normal(size=(4, 90, 3)), labels=rng.integers(3, size=90)
    )
    monkeypatch.setenv("ELSEWHERE", str(tmp_path))
    run = study_run.StudyRun("other", "predictions", "$ELSEWHERE/b.npz", {}, tmp_path / "study")
    assert study.obtain(run) is None
    assert json.loads((run.path / "summary.json").read_text())["num_members"] == 4
    assert study_run.predictions_of(run.path).num_samples == 90
    assert run.cost["cpu_seconds"] > 0
    missing = run._replace(source="$ELSEWHERE/c.npz")
    assert "c.npz" in study.obtain(missing)
    assert not missing.finished


def test_all_ensembles_in_the_repository_take_60_megabytes_at_most():
    files = [file for file in study_run.KEPT.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 60e6
