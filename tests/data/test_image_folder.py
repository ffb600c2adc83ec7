"""Images in class folders, decoded by workers while members train."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from PIL import Image

from bvalign.data import ImageFolder, image_workers
from bvalign.data.image_workers import Centres, decode
from bvalign.randomness import Streams


def write_images(root, per_class=6, classes=("ant", "bee"), splits=("train", "val")):
    """Reddish ants and bluish bees of different sizes, with noise."""
    rng = np.random.default_rng(0)
    for split in splits:
        for label, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            for number in range(per_class):
                pixels = rng.integers(60, size=(20 + number, 30, 3), dtype=np.uint8)
                pixels[..., 2 * label] += 150
                Image.fromarray(pixels).save(root / split / name / f"{number:03d}.png")
    return root


def folder(root, members=(0, 1), epoch=0, **arguments):
    """A data module as a Trainer would hold it, and its training batches."""
    arguments = {"size": 16, "batch_size": 4, "workers": 0} | arguments
    data = ImageFolder(root=str(root), **arguments)
    data.setup()
    module = SimpleNamespace(
        members=tuple(members), streams=Streams(), start=(0, 0), steps_at_once=1, drawn=False
    )
    data.trainer = SimpleNamespace(
        lightning_module=module,
        strategy=SingleDeviceStrategy(device=torch.device("cpu")),
        distributed_sampler_kwargs=None,
    )
    loader = data.train_dataloader()
    loader.batch_sampler.sampler.set_epoch(epoch)
    return data, list(loader)


def test_a_batch_has_every_members_images_in_its_own_order(tmp_path):
    data, batches = folder(write_images(tmp_path), augment=False)
    assert len(batches) == 3
    for image, target, index in batches:
        assert image.shape == (2, 4, 3, 16, 16)
        assert image.dtype == torch.uint8
        assert torch.equal(target, torch.from_numpy(data.arrays.train_target)[index])
        # what a label says is in the picture
        assert ((image[:, :, 0].float().mean((-1, -2)) > 100) == (target == 0)).all()
    index = torch.cat([index for _, _, index in batches], dim=1)
    assert all(sorted(row.tolist()) == list(range(12)) for row in index)
    assert not torch.equal(index[0], index[1])


def test_a_member_sees_the_same_alone_in_a_pack_and_with_workers(tmp_path):
    write_images(tmp_path)
    _, together = folder(tmp_path, members=(3, 7), epoch=2)
    _, alone = folder(tmp_path, members=(7,), epoch=2)
    _, by_workers = folder(tmp_path, members=(7,), epoch=2, workers=2)
    for pack, single, other in zip(together, alone, by_workers, strict=True):
        for a, b, c in zip(pack, single, other, strict=True):
            assert torch.equal(a[1], b[0])
            assert torch.equal(b, c)
    _, later = folder(tmp_path, members=(7,), epoch=3)
    assert not torch.equal(alone[0][0], later[0][0])


def test_crops_are_parts_of_the_image(tmp_path):
    write_images(tmp_path)
    _, plain = folder(tmp_path, augment=False)
    _, cropped = folder(tmp_path)
    assert torch.equal(plain[0][2], cropped[0][2])
    assert not torch.equal(plain[0][0], cropped[0][0])


def test_tests_visit_every_image_once_in_order(tmp_path):
    data, _ = folder(write_images(tmp_path), num_test=7)
    index = torch.cat([index for _, _, index in data.test_dataloader()])
    assert index.tolist() == list(range(7))
    assert data.num_test_samples == 7
    assert data.samples().images.shape == (7, 3, 32, 32)
    image = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    normal, *_ = data.on_after_batch_transfer((image, index[:1], index[:1]), 0)
    part = folder(tmp_path, num_train=5)[0]
    image, target, index = (torch.cat(b) for b in zip(*part.predict_dataloader(), strict=True))
    assert index.tolist() == list(range(5))
    assert target.tolist() == part.arrays.train_target.tolist()
    for row, file in enumerate(part.arrays.train_images):
        assert torch.equal(image[row], Centres(np.array([file]), np.zeros(1, np.int64), 16)[0][0])
    assert part.samples("train").images.shape == (5, 3, 32, 32)
    assert normal[0, 0, 0, 0].item() == pytest.approx(-0.485 / 0.229)


def test_what_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(ValueError, match="must hold a folder of images for each class"):
        ImageFolder(root=str(tmp_path))
    write_images(tmp_path, splits=("train",))
    with pytest.raises(ValueError, match=r"val/ant' must hold images, there are none"):
        ImageFolder(root=str(tmp_path), workers=0).setup()
    write_images(tmp_path, splits=("val",))
    (tmp_path / "val" / "bee" / "000.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"bee/000.png is not a readable image"):
        folder(tmp_path)[0].samples()


def test_hidden_names_are_neither_classes_nor_images(tmp_path):
    plain, _ = folder(write_images(tmp_path / "insects"))
    before = [plain.class_names, plain.identity(), plain.samples().notes]
    for hidden in (".ipynb_checkpoints", "ant/.ipynb_checkpoints", "__MACOSX", "bee/__MACOSX/ant"):
        inside = tmp_path / "insects" / "train" / hidden
        inside.mkdir(parents=True)
        (inside / "000.png").write_bytes(b"no image")
    for split in ("train", "val"):
        for name in ("._000.png", ".DS_Store", "Thumbs.db", ".hidden.jpg"):
            (tmp_path / "insects" / split / "ant" / name).write_bytes(b"no image")
            (tmp_path / "insects" / split / name).write_bytes(b"no image")
    data, _ = folder(tmp_path / "insects")
    assert [data.class_names, data.identity(), data.samples().notes] == before
    assert before[2] == ()


def test_images_that_belong_to_no_class_are_told(tmp_path):
    write_images(tmp_path, per_class=4)
    write_images(tmp_path, per_class=3, classes=("wasp",), splits=("val",))
    for name in ("0.png", "1.jpg"):
        (tmp_path / "train" / name).write_bytes(b"not in a folder")
    (tmp_path / "train" / "bee" / "0.GIF").write_bytes(b"GIF89a")
    data, _ = folder(tmp_path)
    assert data.num_test_samples == 8
    assert data.samples().notes == (
        f"data: 2 images in '{tmp_path}/train' lie in no class folder and are not used",
        f"data: 1 images in '{tmp_path}/train' are not used: .gif is not read",
        f"data: '{tmp_path}/val/wasp' is no class of '{tmp_path}/train', 3 images are not used",
    )


def test_images_of_16_bits_are_scaled(tmp_path):
    write_images(tmp_path, per_class=4)
    levels = np.array([0, 256, 25700, 30000, 65535], np.uint16)
    for split, name in (("train", "0.png"), ("val", "0.png"), ("val", "1.tif"), ("val", "2.pgm")):
        pixels = np.broadcast_to(levels[:, None, None], (5, 8, 16)).reshape(40, 16)
        Image.fromarray(pixels.copy()).save(tmp_path / split / "ant" / name)
    for name in ("0.png", "1.tif", "2.pgm"):
        image, deep = decode(str(tmp_path / "val" / "ant" / name))
        assert image[:, ::8, 0].tolist() == [[0, 1, 100, 117, 255]] * 3
        assert deep
    data, _ = folder(tmp_path)
    assert data.samples().notes == ("data: 3 of 11 test images of 16 bits are scaled to 8 bits",)


@pytest.mark.parametrize(("dtype", "mode"), [(np.int32, "I"), (np.float32, "F")])
def test_images_whose_range_nothing_says_are_refused(tmp_path, dtype, mode):
    write_images(tmp_path, per_class=2)
    path = tmp_path / "val" / "ant" / "0.tif"
    Image.fromarray(np.full((20, 20), 200, dtype)).save(path)
    message = rf"ant/0.tif has pixels of 32 bits \(mode {mode}\), whose range nothing says"
    with pytest.raises(ValueError, match=message):
        folder(tmp_path)[0].samples()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_one_line_also_from_a_worker(bvalign, tmp_path, workers):
    path = write_images(tmp_path) / "val" / "bee" / "000.png"
    path.write_bytes(b"no image")
    with pytest.raises(SystemExit) as stopped:
        bvalign("fit", "--data=ImageFolder", f"--data.root={tmp_path}", "--data.size=16",
                f"--data.workers={workers}", "--trainer.logger=false")  # fmt: skip
    assert stopped.value.code == (
        f"bvalign: error: {path} is not a readable image: cannot identify image file '{path}'; "
        "replace or remove it"
    )


@pytest.mark.parametrize("setting", ["size", "batch_size", "eval_batch_size"])
def test_settings_that_are_too_small_are_refused(tmp_path, setting):
    with pytest.raises(ValueError, match=f"data.{setting}.* must be at least 1"):
        ImageFolder(root=write_images(tmp_path), **{setting: 0})
    with pytest.raises(ValueError, match="data.workers at least 0, got 224, 128, 100 and -1"):
        ImageFolder(root=tmp_path, workers=-1)


@pytest.mark.usefixtures("without_figures")
def test_members_train_from_disk(bvalign, tmp_path, capsys):
    write_images(tmp_path / "insects")
    write_images(tmp_path / "insects", classes=("wasp",), splits=("val",))
    bvalign(
        "fit",
        "--data=ImageFolder",
        f"--data.root={tmp_path / 'insects'}",
        "--data.size=16",
        "--data.batch_size=4",
        "--data.workers=0",
        "--model.arch=cnn",
        "--model.width=4",
        "--model.members=3",
        "--model.lr=0.02",
        "--trainer.max_epochs=10",
        "--trainer.logger=false",
    )
    run = Path("runs/image-folder-cnn")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["data"]["class_names"] == ["ant", "bee"]
    assert summary["data"]["name"] == "image-folder/insects"
    assert summary["accuracy"]["value"] == 1.0
    (note,) = summary["notes"]
    assert "val/wasp' is no class of " in note
    assert note in capsys.readouterr().err


def test_thumbnails_are_read_where_they_are_asked_for_and_without_a_fork(tmp_path, monkeypatch):
    """Every rank sets up, one saves the samples; by then a GPU may be in use."""
    read = []

    def noted(file):
        read.append((file, os.getpid()))
        return decode(file)

    monkeypatch.setattr(image_workers, "decode", noted)
    data = ImageFolder(root=write_images(tmp_path), workers=2)
    data.setup()
    assert read == []
    images = data.samples().images
    assert sorted(read) == [(file, os.getpid()) for file in data.arrays.test_images]
    for image, file in zip(images, data.arrays.test_images, strict=True):
        small = Centres(np.array([file]), np.zeros(1, np.int64), 32)[0][0]
        assert np.array_equal(image, small)


@pytest.mark.parametrize(
    ("device", "context"), [("cpu", None), ("cuda", "spawn"), ("mps", "spawn")]
)
def test_workers_are_not_forked_where_a_gpu_is_in_use(tmp_path, device, context):
    data, _ = folder(write_images(tmp_path))
    data.workers, data.trainer.strategy = 2, SingleDeviceStrategy(device=torch.device(device))
    for loader in (data.train_dataloader(), data.test_dataloader()):
        started = loader.multiprocessing_context
        assert (started and started.get_start_method()) == context
        assert loader.pin_memory == (device == "cuda")
