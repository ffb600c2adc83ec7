import json
import re

import numpy as np
import pytest
import torch

from bvalign import open_predictions
from bvalign.predictions.scores.manifest import read_manifest
from bvalign.predictions.scores.shards import open_shards
from tests.ensembles import random_ensemble
from tests.predictions.shard_files import write_manifest, write_part

LOGITS, TARGET = random_ensemble(members=3, samples=11, classes=4)
NAMES = ["a", "b", "c"]


@pytest.fixture
def folder(tmp_path):
    """Two members in files of their own, cut elsewhere, and one in a file with all its samples."""
    parts = [
        write_part(tmp_path, "ab-0.safetensors", LOGITS[:2, :6], ["a", "b"], 0),
        write_part(tmp_path, "b/1.safetensors", LOGITS[1, 6:], ["b"], 6),
        write_part(tmp_path, "a-1.safetensors", LOGITS[:1, 6:], ["a"], 6),
        write_part(tmp_path, "c.safetensors", LOGITS[2], ["c"], 0),
    ]
    write_manifest(tmp_path, NAMES, 11, parts)
    np.save(tmp_path / "labels.npy", TARGET.numpy())
    return tmp_path


def manifest(folder, change):
    """Changes the manifest in place."""
    content = json.loads((folder / "manifest.json").read_text())
    change(content)
    (folder / "manifest.json").write_text(json.dumps(content))


def test_any_range_is_read_across_files(folder):
    predictions, origin = open_predictions(folder)
    assert origin["read"] == "3 members, 11 samples, 4 classes, with labels"
    assert (predictions.members, predictions.notes) == (("a", "b", "c"), ())
    assert np.array_equal(predictions.target, TARGET)
    for start in range(11):
        for stop in range(start + 1, 12):
            assert torch.equal(predictions.read(start, stop), LOGITS[:, start:stop])
    order = np.random.default_rng(0).permutation(11)
    np.save(folder / "index.npy", order)
    sorted_by_index = torch.from_numpy(np.argsort(order))
    assert torch.equal(open_predictions(folder)[0].read(2, 9), LOGITS[:, sorted_by_index[2:9]])


def test_each_member_may_have_a_folder_with_a_manifest(tmp_path):
    for number, name in enumerate(NAMES):
        own = tmp_path / name
        parts = [
            write_part(
                own, f"{start}.safetensors", LOGITS[number, start : start + 4], [name], start
            )
            for start in (0, 4, 8)
        ]
        write_manifest(own, [name], 11, parts)
    np.save(tmp_path / "labels.npy", TARGET.numpy())
    predictions = open_predictions(tmp_path)[0]
    assert torch.equal(predictions.read(3, 10), LOGITS[:, 3:10])
    assert predictions.members == ("a", "b", "c")


def test_votes_and_numbers_of_members(tmp_path):
    votes = LOGITS.argmax(dim=-1)
    parts = [
        write_part(tmp_path, "0.safetensors", votes[:, :5], [3, 1, 2], 0, "votes"),
        write_part(tmp_path, "1.safetensors", votes[:2, 5:], [3, 1], 5, "votes"),
        write_part(tmp_path, "2.safetensors", votes[2, 5:], [2], 5, "votes"),
    ]
    write_manifest(tmp_path, [3, 1, 2], 11, parts)
    predictions = open_predictions(tmp_path)[0]
    assert predictions.members == (3, 1, 2)
    assert torch.equal(predictions.read(0, 11).argmax(dim=-1), votes)


def rewrite(folder, name, values, key="logits"):
    """Writes another content of a file, with its right checksum."""

    def change(content):
        (entry,) = (entry for entry in content["files"] if entry["file"] == name)
        made = write_part(folder, name, values, entry["members"], entry["range"][0], key)
        entry["sha256"] = made["sha256"]

    manifest(folder, change)


def entry(number, **values):
    return lambda folder: manifest(folder, lambda c: c["files"][number].update(values))


WRONG = {
    "schema 2, this version reads 1": lambda f: manifest(f, lambda c: c.update(schema=2)),
    "schema None, this version": lambda f: (f / "manifest.json").write_text("[]"),
    "manifest.json: not a complete .json": lambda f: (f / "manifest.json").write_text("{"),
    "'members' must list different names": lambda f: manifest(f, lambda c: c.update(members="abc")),
    "'samples' must be their number, got True": lambda f: manifest(
        f, lambda c: c.update(samples=True)
    ),
    "'files' must list the files": lambda f: manifest(f, lambda c: c.update(files=[])),
    "each of 'files' needs file, members": lambda f: manifest(f, lambda c: c["files"].append(3)),
    "'../x' is no file in this folder": entry(0, file="../x"),
    "'/etc/passwd' is no file in this folder": entry(0, file="/etc/passwd"),
    "'range' of c.safetensors must be [start, stop] with 0 <= start < stop <= 11, got [0, 12]": (
        entry(3, range=[0, 12])
    ),
    "'sha256' of c.safetensors must be 64": entry(3, sha256="0"),
    "member d of c.safetensors must be one of 'members'": entry(3, members=["d"]),
    "c.safetensors is named twice": entry(0, file="./c.safetensors"),
    "samples 3 to 6 of member b are in no file": lambda f: (
        rewrite(f, "ab-0.safetensors", LOGITS[:2, :3]),
        entry(0, range=[0, 3])(f),
        manifest(f, lambda c: c["members"].remove("a") or c["files"].pop(2)),
        entry(0, members=["b"])(f),
    ),
    "samples 6 to 11 of member a are in no file": lambda f: manifest(
        f, lambda c: c["files"].pop(2)
    ),
    "ab-0.safetensors and a-1.safetensors both hold samples 5 to 6 of member a": entry(
        2, range=[5, 11]
    ),
    "c.safetensors: is missing, manifest.json names it": lambda f: (f / "c.safetensors").unlink(),
    "d.safetensors: manifest.json does not name it": lambda f: (f / "d.safetensors").write_bytes(
        b""
    ),
    "c.safetensors: not a complete .safetensors": lambda f: (f / "c.safetensors").write_bytes(
        (f / "c.safetensors").read_bytes()[:-1]
    ),
    "c.safetensors: must have 'logits' as ab-0.safetensors has, got probs": lambda f: rewrite(
        f, "c.safetensors", LOGITS[2], "probs"
    ),
    "c.safetensors: 'logits' must be (1, 11, classes) by manifest.json, got (10, 4)": lambda f: (
        rewrite(f, "c.safetensors", LOGITS[2, 1:])
    ),
    "b/1.safetensors: all files must have the same classes, got 3, and 4 in ab-0": lambda f: (
        rewrite(f, "b/1.safetensors", LOGITS[1, 6:, :3])
    ),
    "c.safetensors: all files must have the same number type, got float64, and float32": (
        lambda f: rewrite(f, "c.safetensors", LOGITS[2].double())
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_said_by_name(folder, message):
    WRONG[message](folder)
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        open_predictions(folder)
    assert str(raised.value).startswith(str(folder))
    assert "\n" not in str(raised.value)


def test_a_checksum_is_checked_when_its_file_is_read(folder):
    with (folder / "a-1.safetensors").open("r+b") as file:
        file.seek(-2, 2)
        file.write(b"\1\1")
    with pytest.raises(ValueError, match="a-1.safetensors: its checksum is"):
        open_predictions(folder)  # which looks at the first rows, here all
    _, sharded = open_shards(read_manifest(folder / "manifest.json"))
    assert torch.equal(sharded.take(slice(0, 6)), LOGITS[:, :6])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"a-1.safetensors: its checksum is [0-9a-f]{12}...,"):
            sharded.take(slice(5, 7))
    rewrite(folder, "a-1.safetensors", LOGITS[:1, 6:])
    _, sharded = open_shards(read_manifest(folder / "manifest.json"))
    assert torch.equal(sharded.take(slice(None)), LOGITS)
    (folder / "c.safetensors").unlink()
    with pytest.raises(ValueError, match="c.safetensors: vanished or was cut short"):
        sharded.take(slice(0, 1))
