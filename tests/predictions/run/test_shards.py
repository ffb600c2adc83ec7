import json
import re

import pytest
import torch

from bvalign.predictions import FinishedMember, RunDirectory
from bvalign.predictions.run import fence, shards
from bvalign.predictions.run.samples import Samples
from tests.ensembles import random_ensemble

LOGITS, TARGET = random_ensemble(members=3, samples=11, classes=4)
FILES = ["00000000.safetensors", "00000004.safetensors", "00000008.safetensors", "manifest.json"]
ROW = 4 * 4  # bytes


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose logits are large: four samples a file."""
    monkeypatch.setattr(shards, "LARGE", 10 * ROW)
    monkeypatch.setattr(shards, "SHARD_BYTES", 4 * ROW + 1)
    return start(tmp_path / "run")


def start(root, name="x"):
    identity = {"data": {"name": name}, "model": {"randomness": {"bootstrap": "member"}}}
    run = RunDirectory.open(root, identity, 3, pack_size=2, provenance={})
    for split in ("test", "train"):
        run.save_samples(Samples(TARGET.numpy(), tuple("abcd"), None), split)
    return run


def finish(run, *members, rows=slice(None)):
    for member in members:
        run.member(member).save(FinishedMember(LOGITS[member, rows], {"w": torch.ones(2)}, []))


def test_large_logits_come_back_in_any_range(run):
    finish(run, 0, 1, 2)
    folder = run.member(1).path / "logits"
    assert sorted(file.name for file in folder.iterdir()) == FILES
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [entry["range"] for entry in manifest["files"]] == [[0, 4], [4, 8], [8, 11]]
    assert run.finished() == ([0, 1, 2], [])
    predictions = RunDirectory(run.root).predictions()
    for first in range(11):
        for stop in range(first + 1, 12):
            assert torch.equal(predictions.read(first, stop), LOGITS[:, first:stop])
    assert torch.equal(run.member(2).logits(), LOGITS[2])


def test_logits_on_training_samples_may_be_large_too(run):
    seen = torch.tensor([[False] * 6 + [True] * 5, [True] * 5 + [False] * 6, [False] * 11])
    finish(run, 0, 1, 2)
    for member in range(3):
        assert run.member(member).lacks_train()
        run.member(member).save_train(LOGITS[member], seen[member])
    assert all(torch.equal(run.member(m).seen(), seen[m]) for m in range(3))
    predictions = run.predictions("train")
    judges = torch.tensor([[0] * 6 + [1] * 5, [2] * 11])[: len(predictions.members)]
    expected = LOGITS[judges, torch.arange(11)]
    assert torch.equal(predictions.read(3, 9), expected[:, 3:9])
    finish(run, 1)  # other weights
    assert not run.member(1).has_train()


@pytest.mark.parametrize("writes", range(5))
def test_a_kill_between_two_files_loses_and_doubles_nothing(run, monkeypatch, writes):
    finish(run, 0, rows=slice(None))
    before = run.member(0).path / "logits" / "manifest.json"
    before.unlink()  # an attempt of before, with other files
    (before.parent / "00007.safetensors").write_bytes(b"of before")
    left, write = [2 + writes], fence.write_atomic  # weights and history come first

    def killed(path, content, **options):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write(path, content, **options)

    monkeypatch.setattr(fence, "write_atomic", killed)
    if writes < 4:
        with pytest.raises(KeyboardInterrupt):
            finish(run, 0)
        assert run.missing() == [0, 1, 2]
        left[0] = 9
    finish(run, 0)
    assert sorted(file.name for file in before.parent.iterdir()) == FILES
    assert run.finished() == ([0], [])
    assert torch.equal(run.member(0).logits(), LOGITS[0])


def test_logits_may_be_large_once_and_small_again(run, monkeypatch):
    finish(run, 0)
    finish(run, 0, rows=slice(0, 3))
    names = {"logits.safetensors", "weights.safetensors", "history.csv"}
    assert {file.name for file in run.member(0).path.iterdir()} == names
    assert torch.equal(run.member(0).logits(), LOGITS[0, :3])
    finish(run, 0)
    assert {file.name for file in run.member(0).path.iterdir()} - names == {"logits"}
    assert not (run.member(0).path / "logits.safetensors").exists()


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def test_damaged_and_foreign_files_do_not_count(run, tmp_path):
    other = start(tmp_path / "other", "y")
    finish(other, 0)
    wrongs = {
        "00000004.safetensors: is missing": lambda f: (f / FILES[1]).unlink(),
        "00000008.safetensors: not a complete": lambda f: cut(f / FILES[2]),
        "manifest.json: not a complete .json": lambda f: cut(f / "manifest.json"),
        "00000000.safetensors belongs to another run": lambda f: (f / FILES[0]).write_bytes(
            (other.member(0).path / "logits" / FILES[0]).read_bytes()
        ),
        "00000000.safetensors belongs to member 1": lambda f: (f / FILES[0]).write_bytes(
            (run.member(1).path / "logits" / FILES[0]).read_bytes()
        ),
    }
    for message, wrong in wrongs.items():
        finish(run, 0, 1, 2)
        path = run.member(0).path / "logits"
        wrong(path)
        members, (problem,) = run.finished()
        assert members == [1, 2], message
        assert problem.startswith(f"member 0: {path}")
        assert message in problem
        assert any(message in note for note in run.predictions().notes)
        with run.claim() as work:
            assert work.packs == ((0,),)


def test_another_checksum_is_told_when_the_file_is_read(run):
    finish(run, 0, 1)
    path = run.member(1).path / "logits" / FILES[1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    predictions = run.predictions()
    assert torch.equal(predictions.read(0, 4), LOGITS[:2, :4])
    with pytest.raises(ValueError, match=re.escape(f"{path}: its checksum is")):
        predictions.read(3, 5)
