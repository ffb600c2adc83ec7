"""A fit whose logits are written in several files."""

from pathlib import Path

import pytest
import torch

from bvalign import RunDirectory
from bvalign.predictions.run import shards

OPTIONS = ("--model.members=2", "--model.pack_size=1", "--trainer.default_root_dir")


@pytest.mark.slow
def test_a_kill_between_two_files_changes_nothing(fit, monkeypatch):
    fit(*OPTIONS, "small")
    monkeypatch.setattr(shards, "LARGE", 1000)
    monkeypatch.setattr(shards, "SHARD_BYTES", 20 * 10 * 4)  # 20 of 57 samples
    left, write = [4], shards.MemberLogits._write_part

    def killed(self, start, tensors):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return write(self, start, tensors)

    with monkeypatch.context() as patch:
        patch.setattr(shards.MemberLogits, "_write_part", killed)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            fit(*OPTIONS, "large")
    before = {file: file.stat().st_mtime_ns for file in Path("large/members/0000").rglob("*")}
    assert RunDirectory("large").missing() == [1]
    fit(*OPTIONS, "large")
    assert {file: file.stat().st_mtime_ns for file in before} == before
    small, large = RunDirectory("small"), RunDirectory("large")
    assert large.finished() == ([0, 1], [])
    for member in range(2):
        assert len(list((large.member(member).path / "logits").iterdir())) == 4
        assert torch.equal(small.member(member).logits(), large.member(member).logits())
    assert Path("small/samples.csv").read_bytes() == Path("large/samples.csv").read_bytes()
