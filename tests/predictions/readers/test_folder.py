"""Predictions of a folder with one file per member."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bvalign import open_predictions
from tests.ensembles import random_ensemble

LOGITS, TARGET = random_ensemble(members=3, samples=5, classes=4)
PROBS = torch.softmax(LOGITS.double(), dim=-1)
INDEX = np.array([7, 3, 9, 1, 4])


def read(path):
    predictions, _ = open_predictions(path)
    ranges = list(predictions.ranges())
    return predictions, torch.cat([r[0] for r in ranges], dim=1)


def write(folder, scores=LOGITS, kind="npy", names=("seed2", "seed10", "a"), key="logits", **more):
    for name, array in zip(names, scores, strict=True):
        if kind == "npy":
            np.save(folder / f"{name}.npy", array.numpy())
        else:
            save_file({key: array.contiguous(), **more}, folder / f"{name}.safetensors")
    np.save(folder / "labels.npy", TARGET.numpy())
    return folder


@pytest.mark.parametrize("kind", ["npy", "safetensors"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_members_are_read_by_name_and_sorted_by_index(tmp_path, monkeypatch, kind, dtype):
    monkeypatch.setattr("bvalign.predictions.predictions.RANGE_BYTES", 8 * 3 * 4 * 2)
    write(tmp_path, LOGITS.to(dtype), kind)
    assert torch.equal(read(tmp_path)[1], LOGITS.to(dtype)[[2, 1, 0]])
    np.save(tmp_path / "index.npy", INDEX)
    predictions, logits = read(tmp_path)
    assert predictions.members == ("a", "seed10", "seed2")
    assert predictions.index.tolist() == sorted(INDEX)
    assert torch.equal(logits, LOGITS.to(dtype)[[2, 1, 0]][:, np.argsort(INDEX)])


def test_numbers_are_numbers(tmp_path):
    assert read(write(tmp_path, names=("2", "10", "1")))[0].members == (1, 2, 10)


def test_a_npy_of_probabilities_is_told_from_logits(tmp_path):
    predictions, logits = read(write(tmp_path, PROBS))
    assert "scores are read as probs: rows sum to one" in predictions.notes[0]
    torch.testing.assert_close(torch.softmax(logits, -1), PROBS[[2, 1, 0]], rtol=1e-12, atol=0)
    assert "read as logits" in read(write(tmp_path))[0].notes[0]
    bad = PROBS.clone()
    bad[0, 0, 0] += 0.1
    with pytest.raises(ValueError, match="'probs' must be at least 0 .* 1 rows do not"):
        read(write(tmp_path, bad))
    with pytest.raises(ValueError, match=r"lie in 0..1, but 100% of the first rows do not sum"):
        read(write(tmp_path, PROBS / 2))


def test_bfloat16_and_mixed_precision(tmp_path):
    write(tmp_path, LOGITS.bfloat16(), "safetensors")
    predictions, logits = read(tmp_path)
    assert "bfloat16 costs digits: the squared bias of 5 of 5 samples" in predictions.notes[0]
    assert torch.equal(logits, LOGITS.bfloat16()[[2, 1, 0]])
    save_file({"logits": LOGITS[2].contiguous()}, tmp_path / "a.safetensors")
    predictions, logits = read(tmp_path)
    assert logits.dtype == torch.float64
    assert torch.equal(logits[0], LOGITS[2].double())
    assert "bfloat16 costs digits" in predictions.notes[0]


def test_votes(tmp_path):
    predictions, logits = read(write(tmp_path, LOGITS.argmax(-1)))
    assert torch.equal(logits.argmax(-1), LOGITS.argmax(-1)[[2, 1, 0]])
    assert "votes" in predictions.notes[0]


def test_members_with_other_samples_are_named(tmp_path):
    write(tmp_path)
    np.save(tmp_path / "index.npy", INDEX)
    np.save(tmp_path / "seed2.index.npy", INDEX[[0, 1, 3, 2, 4]])
    message = r"'index' differs from member a: member seed2 \(2 of 5 samples\).*another order"
    with pytest.raises(ValueError, match=message):
        read(tmp_path)
    np.save(tmp_path / "seed2.index.npy", INDEX)
    assert read(tmp_path)[0].index.tolist() == sorted(INDEX)
    np.save(tmp_path / "seed10.labels.npy", (TARGET.numpy() + 1) % 4)
    with pytest.raises(ValueError, match=r"'labels' differs .*member seed10 \(5 of 5 samples\)"):
        read(tmp_path)


def test_members_own_samples_of_safetensors_are_compared(tmp_path):
    write(tmp_path, kind="safetensors", labels=TARGET, index=torch.from_numpy(INDEX))
    assert read(tmp_path)[0].index.tolist() == sorted(INDEX)
    np.save(tmp_path / "labels.npy", (TARGET.numpy() + 1) % 4)
    with pytest.raises(ValueError, match=r"labels.npy differs from the members' own .* 5 rows"):
        read(tmp_path)
    save_file({"logits": LOGITS[0].contiguous()}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="some members have 'index', but a does not"):
        read(tmp_path)
    np.save(tmp_path / "index.npy", INDEX[:4])
    with pytest.raises(ValueError, match=r"'index' of member seed10 must be \(4,\), got \(5,\)"):
        read(tmp_path)


def test_bad_folders_are_told(tmp_path):
    write(tmp_path)
    np.save(tmp_path / "a.npy", LOGITS[0, :4].numpy())
    with pytest.raises(ValueError, match=r"seed10.npy is \(5, 4\) and a.npy \(4, 4\)"):
        read(tmp_path)
    content = (tmp_path / "seed2.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-4])
    with pytest.raises(ValueError, match=r"a.npy: not a complete .npy .*204 bytes, not 208"):
        read(tmp_path)
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a.npy: not a complete .npy .*EOF"):
        read(tmp_path)
    (tmp_path / "a.npy").unlink()
    save_file({"logits": LOGITS[0].contiguous()}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"one kind of scores, got a: logits, seed10: unnamed"):
        read(tmp_path)
    save_file({"weights": LOGITS[0].contiguous()}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="needs an array 'logits' .* has weights"):
        read(tmp_path)
    (tmp_path / "a.safetensors").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"a.safetensors: not a complete .safetensors"):
        read(tmp_path)
    (tmp_path / "a.safetensors").unlink()
    (tmp_path / "labels.npy").unlink()
    np.save(tmp_path / "seed2.labels.npy", TARGET.numpy())
    with pytest.raises(ValueError, match="some members have 'labels', but seed10 does not"):
        read(tmp_path)


def test_the_folder_of_a_report_is_told_from_predictions(tmp_path):
    for name in ("summary.json", "report.html"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ValueError, match="holds a report, not predictions; .*analyze PREDICTIONS"):
        read(tmp_path)
    (tmp_path / "samples.csv").write_text("index,label\n0,1\n")
    with pytest.raises(ValueError, match="holds a report, not predictions"):
        read(tmp_path)
    write(tmp_path)
    assert len(read(tmp_path)[0].members) == 3


@pytest.mark.parametrize(("scores", "message"), [
    (LOGITS[:, :0], "at least one member, one sample"),
    (LOGITS[..., :0], "one class"),
    (LOGITS.long(), "must be floating point, got int64"),
])  # fmt: skip
def test_empty_and_integer_scores_are_told(tmp_path, scores, message):
    for kind in ("npy", "safetensors"):
        (tmp_path / kind).mkdir()
        write(tmp_path / kind, scores, kind)
        np.save(tmp_path / kind / "labels.npy", TARGET.numpy()[: scores.shape[1]] * 0)
        with pytest.raises(ValueError, match=message):
            read(tmp_path / kind)


@pytest.mark.parametrize("kind", ["npy", "safetensors"])
@pytest.mark.parametrize("which", ["all", "one"])
@pytest.mark.parametrize("number", [torch.tensor(1.5), torch.tensor(1)])
def test_a_member_that_is_a_single_number_is_told(tmp_path, kind, which, number):
    write(tmp_path, [number if which == "all" or m == 1 else LOGITS[m] for m in range(3)], kind)
    name = "a" if which == "all" else "seed10"
    message = rf"{name}.{kind}: a member must be scores \(samples, classes\) or votes .*, got a sin"
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_nan_is_named_by_member(tmp_path):
    bad = LOGITS.clone()
    bad[0, [1, 2], 0] = torch.nan
    with pytest.raises(ValueError, match=r"NaN or inf: member seed2 \(2 of 5 samples\)"):
        read(write(tmp_path, bad))


@pytest.mark.parametrize("kind", ["npy", "safetensors"])
def test_a_file_that_changes_while_it_is_read_is_told(tmp_path, kind):
    predictions, _ = open_predictions(write(tmp_path, kind=kind))
    file = tmp_path / f"seed2.{kind}"
    file.write_bytes(file.read_bytes()[:150])
    with pytest.raises(ValueError, match=f"seed2.{kind}: vanished or was cut short"):
        list(predictions.ranges())
    file.unlink()
    with pytest.raises(ValueError, match=f"seed2.{kind}: vanished or was cut short"):
        list(predictions.ranges())
