import re
import shutil
import sys

import numpy as np
import pytest
import torch

from bvalign import open_predictions
from bvalign.predictions.scores import zarr_group
from tests.ensembles import random_ensemble

zarr = pytest.importorskip("zarr")
LOGITS, TARGET = random_ensemble(members=3, samples=53, classes=4)
ARRAYS = {"logits": LOGITS.numpy(), "labels": TARGET.numpy()}


def write(where, chunks=(2, 10, 3), *, format=3, **arrays):
    """Writes a group with logits in these chunks."""
    group = zarr.open_group(where, mode="w", zarr_format=format)
    for name, values in (ARRAYS | arrays).items():
        group.create_array(name, data=values, chunks=chunks if name == "logits" else "auto")
    return group


@pytest.fixture
def decoded(monkeypatch):
    """Counts of decoded numbers of logits."""
    counts = []
    decode = zarr_group.ZarrArray._decode

    def counting(self, index):
        values = decode(self, index)
        counts.append(values.size * (values.ndim == 3))
        return values

    monkeypatch.setattr(zarr_group.ZarrArray, "_decode", counting)
    return counts


@pytest.mark.parametrize("chunks", [(2, 10, 3), (3, 1, 4), (1, 53, 4), (3, 60, 1)])
@pytest.mark.parametrize("most", [2**26, 0])
def test_blocks_of_any_size_decode_a_chunk_once(tmp_path, monkeypatch, decoded, chunks, most):
    monkeypatch.setattr(zarr_group, "IN_MEMORY", most)
    write(tmp_path / "x.zarr", chunks)
    predictions, origin = open_predictions(tmp_path / "x.zarr")
    assert origin["format"] == "zarr"
    assert origin["read"] == "3 members, 53 samples, 4 classes, with labels"
    assert np.array_equal(predictions.target, TARGET)
    for size in (1, 7, 53):
        predictions.read(0, size)
        decoded.clear()
        read = [predictions.read(i, min(i + size, 53)) for i in range(0, 53, size)]
        assert torch.equal(torch.cat(read, dim=1), LOGITS)
        assert sum(decoded) <= LOGITS.numel()


def test_an_index_in_no_order_unpacks_all_once(tmp_path, decoded):
    order = np.random.default_rng(0).permutation(53)
    write(tmp_path / "x.zarr", index=order)
    predictions, _ = open_predictions(tmp_path / "x.zarr")
    decoded.clear()
    expected = LOGITS[:, np.argsort(order)]
    for _ in range(2):
        read = torch.cat([predictions.read(i, i + 1) for i in range(53)], dim=1)
        assert torch.equal(read, expected)
    assert sum(decoded) < 8 * LOGITS.numel()


def test_stores_shards_and_versions_are_read_alike(tmp_path):
    write("memory://a/x.zarr")
    write(tmp_path / "y.zarr")
    write(tmp_path / "old.zarr", format=2)
    group = zarr.open_group(tmp_path / "shards.zarr", mode="w")
    group.create_array("logits", data=LOGITS.numpy(), chunks=(1, 5, 4), shards=(3, 20, 4))
    group.create_array("labels", data=TARGET.numpy())
    sources = ["memory://a/x.zarr", f"file://{tmp_path}/y.zarr"]
    for source in (*sources, tmp_path / "y.zarr", tmp_path / "old.zarr", tmp_path / "shards.zarr"):
        predictions, origin = open_predictions(source)
        assert torch.equal(predictions.read(5, 50), LOGITS[:, 5:50])
        assert origin["source"] == str(source).rsplit("/")[-1]


@pytest.mark.filterwarnings("ignore:The data type .*:zarr.errors.UnstableSpecificationWarning")
def test_all_arrays_of_an_npz_and_members_of_a_folder(tmp_path):
    names = np.array(["a", "bb", "ccc"])
    group = write(tmp_path / "x.zarr", members=names, index=np.arange(53) * 2)
    group.create_array("class_names", shape=(4,), dtype=str)[:] = np.array(list("wxyz"))
    predictions, _ = open_predictions(tmp_path / "x.zarr")
    assert predictions.members == ("a", "bb", "ccc")
    assert predictions.class_names == ("w", "x", "y", "z")
    assert predictions.index.tolist() == [*range(0, 106, 2)]
    for member in range(3):
        one = zarr.open_group(tmp_path / "folder" / f"seed{member}.zarr", mode="w")
        one.create_array("probs", data=LOGITS[member].softmax(dim=-1).numpy())
    predictions, _ = open_predictions(tmp_path / "folder")
    assert predictions.members == ("seed0", "seed1", "seed2")
    assert torch.allclose(predictions.read(3, 9).exp(), LOGITS[:, 3:9].softmax(-1).double())


def test_whole_numbers_that_are_not_stored_are_noted(tmp_path):
    group = write(tmp_path / "x.zarr")
    del group["labels"]
    group.create_array("labels", data=np.arange(53) // 20, chunks=(10,))
    notes = open_predictions(tmp_path / "x.zarr")[0].notes
    assert "labels: 2 of 6 chunks are not stored, which stands for 0 everywhere" in notes


def damage(name, content):
    return lambda folder: (folder / name).write_bytes(content)


WRONG = {
    "'logits' is 0.0 everywhere at [2:3, 20:30, 0:3], as it is where a chunk is missing": (
        lambda folder: (folder / "logits/c/1/2/0").unlink()
    ),
    "'logits' cannot be read at [0:3, 0:53, 0:4] (": damage("logits/c/1/5/1", b"(\xb5/\xfd"),
    "not a Zarr group that can be read (": damage("zarr.json", b"{"),
    "not a Zarr group that can be read (E": damage("logits/zarr.json", b"{"),
    "needs an array 'logits' or 'probs'": lambda folder: shutil.rmtree(folder / "logits"),
    "is an array, not a group; save it as 'logits' of a group": (
        lambda folder: shutil.copy(folder / "logits/zarr.json", folder / "zarr.json")
    ),
    "not a Zarr group that can be read (No group found": lambda folder: (
        folder / "zarr.json"
    ).unlink(),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_damaged_or_missing_is_one_line(tmp_path, message):
    write(tmp_path / "x.zarr")
    WRONG[message](tmp_path / "x.zarr")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}/x.zarr: {message}")) as raised:
        open_predictions(tmp_path / "x.zarr")[0].read(0, 53)
    assert "\n" not in str(raised.value)


def test_urls_that_lead_nowhere_are_one_line(monkeypatch):
    for url, said in {
        "memory://nowhere/x.zarr": "No group found",
        "nothing://x.zarr": "Protocol not known",
        "s3://bucket/x.zarr": "Install s3fs",
    }.items():
        with pytest.raises(ValueError, match=re.escape(f"{url}: not a Zarr group")) as raised:
            open_predictions(url)
        assert said in str(raised.value)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ValueError, match=re.escape("pip install 'bvalign[zarr]'")):
        open_predictions("memory://nowhere/x.zarr")


def test_labels_beside_a_url_are_refused():
    with pytest.raises(ValueError, match="labels belong in the file"):
        open_predictions("memory://a/x.zarr", labels=[0, 1])
