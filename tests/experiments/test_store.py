"""Members that were trained once are kept as logits, and not trained again."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from bvalign.predictions import RunDirectory
from tests import ROOT

STORE = ROOT / "experiments" / "ensembles"


@pytest.fixture
def store(monkeypatch, tmp_path):
    """Runs store.py on folders of the test."""
    monkeypatch.syspath_prepend(STORE)
    import store

    def run(direction, *names):
        places = ("--ensembles", str(tmp_path / "kept"), "--runs", str(tmp_path / "runs"))
        monkeypatch.setattr(sys, "argv", ["store.py", direction, *names, *places])
        store.main()

    return run


def test_kept_members_are_not_trained_again(fit, bvalign, store, tmp_path, capsys, monkeypatch):
    whole, root = tmp_path / "whole", tmp_path / "runs" / "small"
    fit("--model.members=5", "--model.pack_size=2", f"--trainer.default_root_dir={whole}")
    fit("--model.members=3", f"--trainer.default_root_dir={root}")
    store("keep", "small")
    store("keep", "small")
    said = capsys.readouterr().out
    kept = tmp_path / "kept" / "small"
    assert f"{kept}: members 0, 1, 2 of {root} are new\n{kept}: members (none) of " in said
    assert {file.name for file in kept.iterdir()} == {
        *("identity.json", "labels.npy", "index.npy"),
        *(f"{member}.safetensors" for member in range(3)),
    }
    assert len(np.load(kept / "labels.npy")) == len(np.load(kept / "index.npy")) == 57
    assert load_file(kept / "2.safetensors")["logits"].dtype == torch.float32
    told = json.loads((kept / "identity.json").read_text())
    assert told["members"]["2"]["plan"] == "sequential"

    root.rename(tmp_path / "away")
    store("restore")
    assert f"{root}: members 0, 1, 2 of {kept} are new" in capsys.readouterr().out
    assert RunDirectory(root).finished()[0] == [0, 1, 2]
    trained = []
    monkeypatch.setattr(
        "bvalign.ensemble.module.Ensemble.on_train_start",
        lambda module: trained.extend(module.members),
    )
    fit("--model.members=5", "--model.pack_size=2", f"--trainer.default_root_dir={root}")
    assert trained == [3, 4]
    run, reference = RunDirectory(root), RunDirectory(whole)
    assert run.finished()[0] == [0, 1, 2, 3, 4]
    for member in range(5):
        assert torch.equal(run.member(member).logits(), reference.member(member).logits())

    bare = "only logits are kept, no weights, of members [0, 1, 2]"
    assert bare in run.predictions().notes
    assert bare in json.loads((root / "summary.json").read_text())["notes"]
    with pytest.raises(SystemExit, match="member 0: .* only logits are kept of this member"):
        bvalign("test", f"--trainer.default_root_dir={root}", "--model.arch=mlp", "--model.width=8")
    assert not reference.predictions().notes
    store("restore", "small")
    assert f"{root}: members (none) of" in capsys.readouterr().out
    bvalign("analyze", kept, "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out/summary.json").read_text())["num_members"] == 3


def test_members_of_another_identity_are_told_in_one_line(fit, store, tmp_path):
    root = tmp_path / "runs" / "small"
    fit("--model.members=1", f"--trainer.default_root_dir={root}")
    store("keep", "small")
    root.rename(tmp_path / "away")
    fit("--model.members=1", "--model.lr=0.2", f"--trainer.default_root_dir={root}")
    for direction in ("keep", "restore"):
        with pytest.raises(SystemExit, match=r"another identity.*model.lr: 0.1 there, 0.2 now"):
            store(direction, "small")
    (tmp_path / "kept/small/0.safetensors").write_bytes(b"broken")
    root.rename(tmp_path / "other")
    with pytest.raises(SystemExit, match=r"0.safetensors: damaged .* from the repository again"):
        store("restore")
    with pytest.raises(SystemExit, match="no identity.json"):
        store("restore", "nothing")


def test_members_beyond_a_gap_wait_until_they_are_asked_for(fit, store, tmp_path):
    root = tmp_path / "runs" / "small"
    fit("--model.members=3", f"--trainer.default_root_dir={root}")
    store("keep", "small")
    root.rename(tmp_path / "away")
    path = tmp_path / "kept/small/identity.json"
    told = json.loads(path.read_text())
    del told["members"]["1"]
    path.write_text(json.dumps(told))
    store("restore")
    assert RunDirectory(root).finished()[0] == [0]
    assert RunDirectory.open(root, told["identity"], 3, 2, {}).finished()[0] == [0, 2]


def test_all_ensembles_in_the_repository_take_60_megabytes_at_most():
    files = [file for file in STORE.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    assert sum(file.stat().st_size for file in files) < 60e6
