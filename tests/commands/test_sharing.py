"""Shards of an analysis, their merge, and what is left of one that was killed."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bvalign import __version__
from bvalign.analysis import passes
from bvalign.analysis.labelled import LabelledPass
from bvalign.commands.sharing import Work
from bvalign.predictions import open_predictions
from bvalign.predictions import predictions as cutting

MEMBERS, SAMPLES, CLASSES = 5, 160, 4


@pytest.fixture(autouse=True)
def _small(monkeypatch, without_figures):
    """Ranges of 16 samples, pieces of two ranges: five pieces."""
    monkeypatch.setattr(cutting, "RANGE_BYTES", 16 * 8 * MEMBERS * CLASSES)
    monkeypatch.setattr(passes, "PIECE_RANGES", 2)


@pytest.fixture
def predictions(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=SAMPLES)
    logits = rng.standard_normal((MEMBERS, SAMPLES, CLASSES))
    logits[:, np.arange(SAMPLES), labels] += rng.uniform(0, 6, SAMPLES)
    partly = np.where(np.arange(SAMPLES) % 10, labels, -1)
    np.savez(tmp_path / "whole.npz", logits=logits, labels=labels)
    np.savez(tmp_path / "partly.npz", logits=logits, labels=partly)
    return tmp_path


def said(capsys):
    return capsys.readouterr().err.replace("\n", " ")


def files(out):
    return {name: (out / name).read_bytes() for name in ("summary.json", "samples.csv")}


@pytest.mark.parametrize("name", ["partly", pytest.param("whole", marks=pytest.mark.slow)])
def test_shards_in_any_order_give_the_files_of_one_process(bvalign, predictions, name):
    source = predictions / f"{name}.npz"
    bvalign("analyze", source, "--out", "alone", "--target", "risk=0.3")
    assert not (predictions / "alone" / "pieces").exists()
    for shard in (2, 0, 1):
        asked = ("--target", "risk=0.3", "--shard", f"{shard}/3")
        bvalign("analyze", source, "--out", "shared", *asked)
    assert {path.name for path in (predictions / "shared").iterdir()} == {"pieces"}
    bvalign("merge", "shared")
    shared = predictions / "shared"
    assert files(shared) == files(predictions / "alone")
    assert not (shared / "pieces").exists()
    (shared / "pieces").mkdir()
    (shared / "pieces" / ".0001.safetensors.tmp").touch()
    bvalign("merge", "shared")  # as after a kill amid the last steps
    assert json.loads((shared / "shards.json").read_text())["shards"] == 3
    bvalign("analyze", source, "--out", "shared")
    assert not (shared / "shards.json").exists()


def test_missing_shards_are_named_and_others_must_be_asked_the_same(bvalign, predictions):
    source = predictions / "whole.npz"
    with pytest.raises(SystemExit, match="no shards to merge"):
        bvalign("merge", "out")
    bvalign("analyze", source, "--out", "out", "--shard", "1/3")
    with pytest.raises(SystemExit, match=r"3 pieces are missing.*--shard 0/3, 2/3"):
        bvalign("merge", "out")
    with pytest.raises(SystemExit, match="another shards; remove"):
        bvalign("analyze", source, "--out", "out", "--shard", "1/4")
    with pytest.raises(SystemExit, match="another options; remove"):
        bvalign("analyze", source, "--out", "out", "--shard", "2/3", "--max-error", "0.1")
    for bad in ("3/3", "-1/3", "1", "a/b", "1/0"):
        with pytest.raises(SystemExit, match="--shard must be i/n"):
            bvalign("analyze", source, "--out", "out", f"--shard={bad}")
    asked = predictions / "out" / "pieces" / "asked.json"
    before = asked.read_text()
    asked.write_text(before.replace(__version__, "0.0"))
    with pytest.raises(SystemExit, match="computed by another version of bvalign"):
        bvalign("merge", "out")
    for damaged in (before[:50], "[]", "5", '{"shards": 3}'):
        asked.write_text(damaged)
        with pytest.raises(SystemExit, match=r"asked\.json: damaged"):
            bvalign("merge", "out")


def test_what_a_killed_analysis_has_finished_is_not_computed_again(
    bvalign, predictions, monkeypatch, capsys
):
    source, compute, computed = predictions / "whole.npz", LabelledPass.compute, []
    bvalign("analyze", source, "--out", "alone")

    def counted(self, part):
        if len(computed) == 7:  # in the fourth piece
            raise KeyboardInterrupt
        computed.append(part.start)
        return compute(self, part)

    monkeypatch.setattr(LabelledPass, "compute", counted)
    with pytest.raises(SystemExit):
        bvalign("analyze", source, "--out", "out")
    assert len(list((predictions / "out" / "pieces").glob("0*.safetensors"))) == 3
    assert "interrupted. finished pieces are kept in out/pieces; the same" in said(capsys)
    before = computed[:6]
    computed[:] = []
    bvalign("analyze", source, "--out", "out")
    assert not set(before) & set(computed)
    assert files(predictions / "out") == files(predictions / "alone")


@pytest.mark.slow
def test_pieces_of_changed_predictions_do_not_count(bvalign, predictions):
    source = predictions / "whole.npz"
    for shard in (0, 1):
        bvalign("analyze", source, "--out", "out", "--shard", f"{shard}/2")
    with np.load(source) as arrays:
        np.savez(source, logits=arrays["logits"] * 2, labels=arrays["labels"])
    with pytest.raises(SystemExit, match="5 pieces are missing, or of predictions that have"):
        bvalign("merge", "out")
    bvalign("analyze", source, "--out", "alone")
    bvalign("analyze", source, "--out", "out")
    assert files(predictions / "out") == files(predictions / "alone")
    with np.load(source) as arrays:
        summary = json.loads((predictions / "alone" / "summary.json").read_text())
        hits = arrays["logits"].argmax(axis=-1) == arrays["labels"]
    assert summary["member_accuracy"]["mean"]["value"] == pytest.approx(hits.mean())


def test_what_lies_in_the_folder_of_the_pieces_is_never_changed(bvalign, predictions):
    """Also if it is what is read: members in files that are named as pieces would be."""
    folder = predictions / "pieces"
    folder.mkdir()
    with np.load(predictions / "whole.npz") as arrays:
        for member, logits in enumerate(arrays["logits"]):
            save_file({"logits": torch.from_numpy(logits)}, folder / f"{member:04d}.safetensors")
        np.save(folder / "labels.npy", arrays["labels"])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(SystemExit, match=r"00.*\.safetensors is no piece of an analysis"):
        bvalign("analyze", folder, "--out", ".")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (predictions / "out" / "pieces").mkdir(parents=True)
    other = folder.rename(predictions / "out" / "pieces" / "mine")
    bvalign("analyze", predictions / "whole.npz", "--out", "out")
    assert {path.name: path.read_bytes() for path in other.iterdir()} == before
    assert [path.name for path in other.parent.iterdir()] == ["mine"]


def test_the_first_has_what_all_need_before_any_piece(predictions):
    source, out, found = predictions / "whole.npz", predictions / "out", []
    opened, _ = open_predictions(source)
    work = Work(opened, source, out, shared=True)
    work.compute(0, 2, lambda: found.append(sorted(path.name for path in work.folder.iterdir())))
    assert found == [["drawn.safetensors"]]
