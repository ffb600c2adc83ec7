"""Files that are no files, archives that inflate, and names that steer a terminal."""

import gzip
import io
import json
import os
import pickle
import re

import numpy as np
import pytest
import torch

from bvalign import open_predictions
from bvalign.data.cifar import _Arrays
from bvalign.predictions import damage
from bvalign.predictions.run.identity import check_types
from tests.ensembles import save_npz

LOGITS = np.random.default_rng(0).normal(size=(3, 5, 4))


def refused(path, match):
    with pytest.raises((ValueError, OSError), match=match) as caught:
        open_predictions(path)
    assert str(path) in str(caught.value)


def test_what_is_no_file_is_told_before_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    refused(tmp_path / "pipe.csv", "no file, but a pipe or a device; save what comes from it")
    (tmp_path / "zero.npz").symlink_to("/dev/zero")
    refused(tmp_path / "zero.npz", "no file, but a pipe or a device")
    (tmp_path / "link.npz").symlink_to("nowhere")
    refused(tmp_path / "link.npz", "there is no such file: a link to what is not there")
    refused(tmp_path / ("a" * 300 + ".npz"), "there is no such file: File name too long")


def test_archives_that_inflate_are_refused_by_what_they_say(tmp_path, monkeypatch):
    monkeypatch.setattr(damage, "LARGE", 2**16)
    np.savez_compressed(tmp_path / "p.npz", logits=np.zeros((3, 100_000, 2)))
    refused(tmp_path / "p.npz", "bytes unpack to over 4 MiB.*unpack it and give what comes out")
    rows = "m,0,0,0.5,0.5\n" * 100_000
    packed = gzip.compress(f"member,sample,label,p0,p1\n{rows}".encode())
    (tmp_path / "p.csv.gz").write_bytes(packed)
    refused(tmp_path / "p.csv.gz", "bytes unpack to over")
    torch.save({"logits": torch.zeros(1).expand(3, 100_000, 4)}, tmp_path / "p.pt")
    refused(tmp_path / "p.pt", "'logits' repeats few numbers many times; save .contiguous")


def test_lines_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(damage, "LONGEST_LINE", 1000)
    (tmp_path / "p.jsonl").write_text('{"a": "' + "a" * 2000)
    refused(tmp_path / "p.jsonl", "a line has over 1000 characters; copy it again")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", b'"' + b"a" * 200_000, "field larger than field limit"),
        ("p.jsonl", b"[" * 10_000, "line 1 is no JSON .*; is the file complete"),
        ("p.json", b"[" * 10_000, "not a complete .json in UTF-8 .*; copy it again, or save it"),
        ("p.pt", b"\x80\x02)\x81.", "not a complete .pt"),
        ("p.npy", b"\x93NUMPY\x01\x00\x20\x00{'descr': '<f8', 'shape': (3,   \n", "its header"),
        ("p.npy", b"\x93NUMPY\x01\x00\x40\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape"
         b"': (-1, -8), }   \n" + bytes(64), "its header"),
    ],
)  # fmt: skip
def test_damage_that_libraries_do_not_expect(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, message)


def test_a_table_of_many_columns_is_read_in_no_time(tmp_path):
    header = ",".join(["member", "sample", *(f"logit{k}" for k in range(5000))])
    (tmp_path / "p.csv").write_text(f"{header}\n")
    refused(tmp_path / "p.csv", "has no rows; is the file complete")


def test_control_characters_in_names_are_written_out(tmp_path):
    names = np.array(["\x1b[31mred", "a\u202eb", "plain", "w\r\nx"])
    save_npz(tmp_path / "p.npz", LOGITS, np.zeros(5, dtype=int), class_names=names)
    predictions, _ = open_predictions(tmp_path / "p.npz")
    assert predictions.class_names == ("\\x1b[31mred", "a\\u202eb", "plain", "w\r\nx")
    assert any("class_names: 2 of 4 are no plain text" in note for note in predictions.notes)


def test_an_error_does_not_steer_the_terminal(bvalign):
    with pytest.raises(SystemExit, match=re.escape("p\\x1b[2J.npz: there is no such file")):
        bvalign("analyze", "p\x1b[2J.npz", "--out", "out")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("identity", [], "'identity' is no object"),
        ("packs", [["../../etc"]], "do not hold the members 0, 1, ... in order"),
        ("packs", {"a": 1}, "'packs' are no lists of members"),
    ],
)
def test_run_json_names_no_other_folders(key, value, message):
    with pytest.raises(ValueError, match=message):
        check_types({"identity": {}, "packs": [[0, 1], [2]]} | {key: value})


def test_pickles_of_cifar_hold_arrays_alone(tmp_path):
    class Canary:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/canary",)

    for content in (Canary(), {"data": np.array([Canary()], dtype=object)}):
        packed = io.BytesIO(pickle.dumps(content))
        with pytest.raises(pickle.UnpicklingError, match="holds posix.system, which is not"):
            _Arrays(packed, encoding="latin1").load()
    assert not (tmp_path / "canary").exists()


def test_logs_of_another_form_are_told(tmp_path):
    log = {"version": 2, "status": "success", "eval": {"task": "quiz"}, "samples": [{"id": [1]}]}
    (tmp_path / "p.json").write_text(json.dumps(log | {"samples": [{"id": 1, "scores": [1]}]}))
    refused(tmp_path / "p.json", "not a complete log of Inspect")
