"""Images, texts and class names that anybody's predictions bring for the report."""

from pathlib import Path

import numpy as np
import pytest

from bvalign import open_predictions
from tests.ensembles import random_ensemble, save_npz

LOGITS, TARGET = random_ensemble(members=3, samples=5, classes=4)
INDEX = np.array([4, 0, 3, 1, 2])
IMAGES = np.random.default_rng(0).integers(256, size=(5, 3, 2, 6), dtype=np.uint8)
TEXTS = np.array(["four", "zero", "three", "one", "<two>"])
NAMES = np.array(["a", "b", "c", "d"])


def folder(**arrays):
    path = Path("members")
    path.mkdir()
    arrays = {"labels": TARGET.numpy(), "index": INDEX, **arrays}
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    for member, scores in enumerate(LOGITS.numpy()):
        np.save(path / f"{member}.npy", scores)
    return path


def npz(**arrays):
    return save_npz(Path("p.npz"), LOGITS, TARGET, index=INDEX, **arrays)


@pytest.mark.parametrize("save", [npz, folder])
def test_what_is_shown_is_sorted_as_the_samples_are(save):
    found, _ = open_predictions(save(images=IMAGES, texts=TEXTS, class_names=NAMES))
    assert len(found.members) == 3
    assert found.texts == ("zero", "one", "<two>", "three", "four")
    assert found.class_names == ("a", "b", "c", "d")
    np.testing.assert_array_equal(found.images, IMAGES[np.argsort(INDEX)])


def test_grey_images_need_no_channel_axis():
    found, _ = open_predictions(npz(images=IMAGES[:, 0]))
    assert found.images.shape == (5, 1, 2, 6)
    assert found.texts is None


@pytest.mark.parametrize(
    ("message", "arrays"),
    [
        ("'images' must be uint8 (5 samples, channels", {"images": IMAGES / 255}),
        ("got uint8 (4, 3, 2, 6)", {"images": IMAGES[:4]}),
        ("'texts' must be 5 strings, got <U5 (4,)", {"texts": TEXTS[:4]}),
        ("'class_names' must be 4 strings, got int64", {"class_names": np.arange(4)}),
    ],
)
def test_what_cannot_be_shown_is_refused(message, arrays):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (compared below)
        open_predictions(npz(**arrays))
    assert message in str(error.value)
    assert "leave them out" in str(error.value)
