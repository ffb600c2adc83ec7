"""Predictions of a `.npz`: every way an archive can lie on disk, in ranges."""

import io
import tempfile
import zipfile

import numpy as np
import pytest
import torch

from bvalign import open_predictions
from tests.ensembles import random_ensemble, save_npz

LOGITS, TARGET = (x.numpy() for x in random_ensemble(members=3, samples=5, classes=4))


def read(path):
    predictions, _ = open_predictions(path)
    ranges = list(predictions.ranges())
    return predictions, torch.cat([r[0] for r in ranges], dim=1).numpy()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("index", [[0, 1, 2, 3, 4], [7, 3, 9, 1, 4]])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f4", "<f4", "f8", "f2", "longdouble"])
def test_every_layout_is_read_in_ranges(tmp_path, monkeypatch, save, index, order, dtype):
    monkeypatch.setattr("bvalign.predictions.predictions.RANGE_BYTES", 8 * 3 * 4 * 2)
    logits = np.array(LOGITS, dtype=dtype, order=order)
    save(tmp_path / "p.npz", logits=logits, labels=TARGET, index=index, other=np.ones(3))
    predictions, found = read(tmp_path / "p.npz")
    assert predictions.read(1, 2).shape == (3, 1, 4)
    assert np.array_equal(found, logits.astype(found.dtype)[:, np.argsort(index)])
    assert predictions.target.tolist() == TARGET[np.argsort(index)].tolist()


def test_archives_with_long_local_headers_are_mapped_where_they_lie(tmp_path):
    """zip64 and what is before the archive move the data away from where a simple sum says."""
    with (tmp_path / "p.npz").open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in (("labels", TARGET), ("logits", LOGITS)):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(2, 0))
    (tmp_path / "p.npz").write_bytes(b"x" * 100 + (tmp_path / "p.npz").read_bytes())
    assert np.array_equal(read(tmp_path / "p.npz")[1], LOGITS)


def test_bad_files_are_told(tmp_path):
    path = save_npz(tmp_path / "p.npz", LOGITS, TARGET)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a complete .npz"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="not a complete .npz"):
        read(path)
    at = whole.index(LOGITS.tobytes()) + 40
    path.write_bytes(whole[:at] + b"flip" + whole[at + 4 :])
    with pytest.raises(ValueError, match=r"not a complete .npz .*Bad CRC-32"):
        read(path)
    np.savez(path, logits=LOGITS, labels=np.array([{}] * 5, dtype=object))
    with pytest.raises(ValueError, match=r"'labels' is an object array; save labels.astype\(str\)"):
        read(path)
    with path.open("wb") as file:
        np.save(file, LOGITS)
    with pytest.raises(ValueError, match="not a complete .npz"):
        read(path)


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (r"236 bytes, not 240", lambda content: content[:-4]),
        ("EOF", lambda content: content[:20]),
        ("magic string is not correct", lambda content: b"x" + content[1:]),
        ("named fields", lambda content: content[:6] + b"\x03" + content[7:]),
    ],
)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_array_is_told(tmp_path, message, change, compression):
    content = io.BytesIO()
    np.save(content, LOGITS)
    labels = io.BytesIO()
    np.save(labels, TARGET)
    with zipfile.ZipFile(tmp_path / "p.npz", "w", compression) as archive:
        archive.writestr("labels.npy", labels.getvalue())
        archive.writestr("logits.npy", change(content.getvalue()))
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "p.npz")


@pytest.mark.parametrize("change", ["gone", "cut"])
def test_a_file_that_changes_while_it_is_read_is_told(tmp_path, change):
    path = save_npz(tmp_path / "p.npz", LOGITS, TARGET)
    predictions, _ = open_predictions(path)
    path.unlink() if change == "gone" else path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"p.npz: vanished or was cut short"):
        list(predictions.ranges())


def test_what_is_unpacked_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    np.savez_compressed(tmp_path / "p.npz", logits=LOGITS, labels=TARGET)
    predictions, _ = open_predictions(tmp_path / "p.npz")
    assert not list((tmp_path / "scratch").iterdir())
    assert np.array_equal(predictions.read(0, 5).numpy(), LOGITS)


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    np.savez_compressed(tmp_path / "p.npz", logits=LOGITS, labels=TARGET)
    monkeypatch.setattr("bvalign.predictions.scores.npz.Scratch", Full)
    with pytest.raises(ValueError, match=r"no room to unpack .*No space left.*set TMPDIR"):
        read(tmp_path / "p.npz")
