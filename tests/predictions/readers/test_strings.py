"""Strings with lone surrogates, as Python makes of bytes that are no UTF-8."""

import json
import os

import numpy as np
import pytest

from bvalign import open_predictions
from tests.ensembles import mixed_ensemble, save_npz

LOGITS, TARGET = (x.numpy() for x in mixed_ensemble(members=3, samples=20, classes=3))
NAMES = np.array(["caf\udce9", "caf\udce8", "thé"])


def test_they_are_written_out_before_anything_is_computed(tmp_path, bvalign):
    texts = np.array([f"text {n}" + "\udcff" * (n % 4 == 0) for n in range(20)])
    clusters = np.array(["a\ud800", "b"])[np.arange(20) % 2]
    labels = NAMES[TARGET]
    more = {"texts": texts, "class_names": NAMES, "members": NAMES, "clusters": clusters}
    save_npz(tmp_path / "p.npz", LOGITS, labels, **more)
    predictions, _ = open_predictions(tmp_path / "p.npz")
    assert predictions.target.tolist() == TARGET.tolist()
    assert predictions.class_names == ("caf\\udce9", "caf\\udce8", "thé")
    assert predictions.members == predictions.class_names
    assert predictions.texts[:2] == ("text 0\\udcff", "text 1")
    notes = "\n".join(predictions.notes)
    for told in ("texts: 5 of 20", "class_names: 2 of 3", "members: 2 of 3", "clusters: 10 of 20"):
        assert f"{told} are no plain text" in notes
    bvalign("analyze", "p.npz", "--out", "out")
    assert "caf\\udce9" in (tmp_path / "out" / "report.html").read_text()
    assert (
        notes.split("\n")[0] in json.loads((tmp_path / "out" / "summary.json").read_text())["notes"]
    )


@pytest.mark.parametrize("strings", [["é", "ü", "c"], ["", "b", "c"], ["😀", "b", "c"]])
@pytest.mark.parametrize("order", ["<", ">"])
def test_other_strings_stay_as_they_are(tmp_path, strings, order):
    members = np.array(strings).astype(f"{order}U2")
    predictions, _ = open_predictions(save_npz(tmp_path / "p.npz", LOGITS, TARGET, members=members))
    assert (predictions.members, predictions.notes) == (tuple(strings), ())


def test_files_of_members_in_another_encoding_are_named(tmp_path):
    np.save(tmp_path / "labels.npy", TARGET)
    for name, logits in zip((b"caf\xe9", "thé".encode(), b"c"), LOGITS, strict=True):
        np.save(tmp_path / f"{os.fsdecode(name)}.npy", logits)
    predictions, _ = open_predictions(tmp_path)
    assert set(predictions.members) == {"caf\\xe9", "thé", "c"}
