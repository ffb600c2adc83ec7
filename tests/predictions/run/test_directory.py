import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from bvalign.atomic import write_atomic
from bvalign.predictions import FinishedMember, RunDirectory
from bvalign.predictions.run import lease
from bvalign.predictions.run.claims import settle_plan
from bvalign.predictions.run.fence import LeaseLostError
from bvalign.predictions.run.history import training_curves
from bvalign.predictions.run.samples import Samples
from bvalign.predictions.run.shards import content_of
from tests.ensembles import random_ensemble

LOGITS, TARGET = random_ensemble(members=5, samples=7, classes=4)
IDENTITY = {"data": {"name": "x"}, "model": {"lr": 0.1, "arch": "mlp"}}


def start(root, members=5, identity=IDENTITY):
    run = RunDirectory.open(root, identity, members, pack_size=2, provenance={"device": "cpu"})
    images = np.zeros((7, 1, 2, 2), np.uint8)
    run.save_samples(Samples(TARGET.numpy(), tuple("abcd"), images, ("a note",)))
    return run


def finish(run, member):
    weights = {"fc.weight": torch.full((2, 3), float(member))}
    history = [{"epoch": 1, "train_loss": 0.5}]
    run.member(member).save(FinishedMember(LOGITS[member], weights, history))


def test_members_come_back_as_they_were_saved(tmp_path):
    run = start(tmp_path)
    for member in range(5):
        finish(run, member)
    found = RunDirectory(tmp_path).predictions()
    logits, target = next(iter(found.ranges()))
    assert torch.equal(logits, LOGITS)
    assert torch.equal(target, TARGET)
    assert found.class_names == tuple("abcd")
    assert found.notes == ("a note",)
    assert torch.equal(run.member(3).weights()["fc.weight"], torch.full((2, 3), 3.0))
    history = (tmp_path / "members" / "0003" / "history.csv").read_text()
    assert history == "epoch,train_loss\n1,0.5\n"


def test_files_of_a_member_are_the_same_bytes_each_time():
    tensors = {"b": torch.ones(3), "a": torch.zeros(2, dtype=torch.bool)}
    metadata = {"member": "0", "identity": '{"name": "ä"}', "state": "{}"}
    contents = {content_of(tensors, metadata) for _ in range(20)}  # the library draws the order
    assert len(contents) == 1
    (content,) = contents
    assert torch.equal(load(content)["b"], torch.ones(3))
    assert len(content) == len(save(tensors, metadata))


def test_claims_go_through_the_packs_and_the_missing_members(tmp_path):
    run = start(tmp_path)
    assert run.packs == [[0, 1], [2, 3], [4]]
    finish(run, 0)
    seen = []
    while True:
        with run.claim() as work:
            if not work.packs:
                break
            seen += work.packs
            for member in work.members:
                finish(run, member)
    assert seen == [(1,), (2, 3), (4,)]


def test_a_claimed_pack_is_not_given_to_another(tmp_path):
    run, other = start(tmp_path), RunDirectory(tmp_path)
    with run.claim() as first, other.claim() as second:
        assert (first.packs, second.packs) == (((0, 1),), ((2, 3),))
    with other.claim(seats=2) as third:
        assert third.packs == ((0, 1), (2, 3))


def test_a_run_may_grow_and_keeps_its_packs(tmp_path):
    start(tmp_path, members=3)
    assert start(tmp_path, members=6).packs == [[0, 1], [2], [3, 4], [5]]
    assert start(tmp_path, members=2).num_members == 6


def test_another_identity_is_refused_by_key(tmp_path):
    start(tmp_path)
    other = {"data": {"name": "x"}, "model": {"lr": 0.2, "arch": "mlp"}}
    with pytest.raises(ValueError, match=r"another identity \(model.lr: 0.1 there, 0.2 now\)"):
        start(tmp_path, identity=other)


def test_damaged_and_foreign_files_do_not_count(tmp_path):
    run = start(tmp_path / "run")
    other = start(tmp_path / "other", identity={"data": {"name": "y"}})
    for member in range(5):
        finish(run, member)
        finish(other, member)
    path = tmp_path / "run" / "members"
    whole = (path / "0001" / "logits.safetensors").read_bytes()
    (path / "0001" / "logits.safetensors").write_bytes(whole[:-9])
    (path / "0002" / "logits.safetensors").write_bytes(
        (tmp_path / "other" / "members" / "0002" / "logits.safetensors").read_bytes()
    )
    (path / "0003" / "logits.safetensors").write_bytes(
        (path / "0004" / "logits.safetensors").read_bytes()
    )
    members, problems = run.finished()
    assert members == [0, 4]
    reasons = ("is damaged", "belongs to another run", "belongs to member 4")
    for problem, reason in zip(problems, reasons, strict=True):
        assert reason in problem
    assert any("3 of 5 members are not finished" in note for note in run.predictions().notes)
    with run.claim() as claimed:
        assert claimed.packs == ((1,),)


def test_a_run_without_members_or_with_a_damaged_description_is_told(tmp_path):
    run = start(tmp_path)
    with pytest.raises(ValueError, match="no member is finished yet"):
        run.predictions()
    for text in ("{", "[1]", '{"schema": 1}', '{"schema": 1, "identity": {}}'):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(ValueError, match="run.json: damaged .*restore it or use a new folder"):
            RunDirectory(tmp_path)
    (tmp_path / "run.json").write_text('{"schema": 99}')
    with pytest.raises(ValueError, match="schema 99, this version reads 1"):
        RunDirectory(tmp_path)


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="could not write .*file .No space left.*finished before is"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/run cannot be written .*--trainer.default_root_dir"):
        start(tmp_path / "file" / "run")


def test_samples_that_are_damaged_are_told_and_written_again(tmp_path):
    run = start(tmp_path)
    finish(run, 0)
    path = tmp_path / "samples.npz"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"samples.npz: damaged .* `fit` of this run writes it"):
        run.predictions()
    start(tmp_path)
    assert RunDirectory(tmp_path).predictions().class_names == tuple("abcd")


def test_damaged_weights_are_told(tmp_path):
    run = start(tmp_path)
    finish(run, 0)
    path = tmp_path / "members" / "0000" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"member 0: .*weights.safetensors is damaged.*train it"):
        run.member(0).weights()


@pytest.mark.parametrize("text", ["", "[1", '["x"]', "1"])
def test_a_damaged_note_of_divergence_is_told(tmp_path, text):
    run = start(tmp_path)
    run.member(0).mark_diverged(2)
    (tmp_path / "members" / "0000" / "diverged.json").write_text(text)
    with pytest.raises(ValueError, match=r"diverged.json: damaged .*remove it to train the member"):
        run.missing()


@pytest.mark.parametrize("text", [None, "epoch,train_loss\n1", "epoch,train_loss\n1,x\n", "a\n1\n"])
def test_a_damaged_history_is_told(tmp_path, text):
    run = start(tmp_path)
    finish(run, 0)
    path = tmp_path / "members" / "0000" / "history.csv"
    path.write_text(text) if text else path.unlink()
    with pytest.raises(ValueError, match=r"history.csv: damaged .*to train the member again"):
        training_curves([path.parent])


def test_half_written_files_are_swept_by_who_holds_the_pack(tmp_path):
    run = start(tmp_path)
    folder = tmp_path / "members" / "0000"
    folder.mkdir(parents=True)
    (folder / ".logits.safetensors.123.tmp").write_bytes(b"half")
    with run.claim() as work:
        assert 0 in work.members
        assert not list(folder.iterdir())


def test_one_process_at_a_time_writes_the_report(tmp_path):
    run, other = start(tmp_path), RunDirectory(tmp_path)
    with run.reporting() as first, other.reporting() as second:
        assert (first, second) == (True, False)
    with RunDirectory(tmp_path).reporting() as again:
        assert again, "the same command again writes the report again"


def test_of_two_that_finish_at_once_one_writes_the_report(tmp_path):
    run, other = start(tmp_path), RunDirectory(tmp_path)
    with run.reporting() as first:
        assert first
    with other.reporting() as second:
        assert not second


def test_a_report_that_failed_is_written_by_the_other(tmp_path):
    run, other = start(tmp_path), RunDirectory(tmp_path)
    with pytest.raises(RuntimeError), run.reporting():
        raise RuntimeError
    with other.reporting() as ours:
        assert ours


def test_a_report_of_fewer_members_is_written_again(tmp_path):
    run, other = start(tmp_path), RunDirectory(tmp_path)
    with run.reporting():
        pass
    finish(other, 0)
    with other.reporting() as ours:
        assert ours


def test_a_plan_chosen_by_a_process_that_was_taken_for_dead_is_not_written(tmp_path):
    run = start(tmp_path)

    def choose():
        (tmp_path / "locks" / "run.99").mkdir()  # meanwhile by another
        return {"plan": "packed", "reason": "fast"}

    with pytest.raises(LeaseLostError, match=r"locks/run: another process has taken over"):
        settle_plan(run, "auto", choose, device="cpu")
    assert "plans" not in json.loads((tmp_path / "run.json").read_text())


def test_without_locks_of_the_disk_the_report_is_written_by_one(tmp_path, monkeypatch):
    def refuse(*_):
        raise NotImplementedError

    monkeypatch.setattr("fcntl.flock", refuse)
    monkeypatch.setattr(lease, "BEAT", 0.1)
    run, other = start(tmp_path), RunDirectory(tmp_path)
    with run.reporting() as first, other.reporting() as second:
        assert (first, second) == (True, False)
    with run.claim() as one, other.claim() as two:
        assert (one.packs, two.packs) == (((0, 1),), ((2, 3),))
