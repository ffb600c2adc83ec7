"""One ensemble in several formats gives one report, but for the record of where it came from."""

import json

import numpy as np
import pytest

from bvalign import analyze
from bvalign.show.report import write
from tests.ensembles import mixed_ensemble
from tests.predictions.shard_files import write_manifest, write_part

zarr = pytest.importorskip("zarr")
LOGITS, TARGET = mixed_ensemble(members=4, samples=90, classes=3)
NAMES = ["a", "b", "c", "d"]


def report(source, out):
    analyze(source).report(out)
    summary = json.loads((out / "summary.json").read_text())
    del summary["provenance"]["source"], summary["provenance"]["format"], summary["data"]["name"]
    return summary, (out / "samples.csv").read_bytes()


@pytest.mark.slow
def test_npz_shards_and_zarr_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "svg", lambda *_: "")
    logits, labels = LOGITS.float(), TARGET.numpy()
    np.savez(tmp_path / "x.npz", logits=logits, labels=labels, members=NAMES)
    parts = [
        write_part(
            tmp_path / "x", f"{m}-{start}.safetensors", logits[m, start:stop], [NAMES[m]], start
        )
        for m in range(4)
        for start, stop in ((0, 40 + m), (40 + m, 90))
    ]
    write_manifest(tmp_path / "x", NAMES, 90, parts)
    np.save(tmp_path / "x" / "labels.npy", labels)
    group = zarr.open_group(tmp_path / "x.zarr", mode="w")
    group.create_array("logits", data=logits.numpy(), chunks=(3, 7, 2))
    group.create_array("labels", data=labels)
    group.create_array("members", shape=(4,), dtype=str)[:] = np.array(NAMES)
    expected = report(tmp_path / "x.npz", tmp_path / "npz")
    assert report(tmp_path / "x", tmp_path / "shards") == expected
    assert report(tmp_path / "x.zarr", tmp_path / "zarr") == expected
