"""Wrong training labels: synthetic noise, and human labels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bvalign.data import CIFAR10N, Digits, cifar10h_counts
from bvalign.data.label_noise import symmetric_noise
from tests.data_files import write_cifar


def test_noise_is_symmetric_and_of_the_fraction_asked_for():
    target = np.repeat(np.arange(4), 3000)
    noisy = symmetric_noise(target, 4, 0.3, np.random.default_rng(0))
    wrong = noisy != target
    assert wrong.sum() == 3600
    for label in range(4):
        others = np.bincount(noisy[wrong & (target == label)], minlength=4)
        assert others[label] == 0
        # about 300 of each other class; five standard deviations are 85
        assert np.abs(np.delete(others, label) - 300).max() < 85


def digits(**arguments):
    data = Digits(num_train=200, num_test=50, **arguments)
    data.setup()
    return data


def test_noise_of_the_data_is_the_same_every_time_and_spares_the_test_set():
    clean, noisy, again = digits(), digits(label_noise=0.2), digits(label_noise=0.2)
    assert (clean.arrays.train_target != noisy.arrays.train_target).sum() == 40
    assert np.array_equal(noisy.arrays.train_target, again.arrays.train_target)
    assert np.array_equal(noisy.samples("train").clean_target, clean.arrays.train_target)
    assert clean.samples("train").clean_target is noisy.samples().clean_target is None
    assert np.array_equal(clean.arrays.test_target, noisy.arrays.test_target)
    assert noisy.arrays.notes == (
        "data: 20% of the training labels are wrong on purpose, the same for all members",
    )
    assert clean.identity() != noisy.identity() == again.identity()


def test_noise_is_a_fraction():
    with pytest.raises(ValueError, match=r"label_noise is a fraction in 0\.\.1, got 20.0"):
        Digits(label_noise=20.0)


@pytest.mark.parametrize("of", ["data", "member"])
def test_members_train_on_wrong_labels_of_their_own_or_not(fit, of, monkeypatch):
    from bvalign.data import resident

    seen = []

    class Watched(resident.MemberBatches):
        def __iter__(self):
            for input, target, index in super().__iter__():
                seen.append((target, index))
                yield input, target, index

    monkeypatch.setattr(resident.ResidentDataModule, "batches", Watched)
    fit("--data.label_noise=0.5", f"--data.label_noise_of={of}", "--model.members=2")
    labels = torch.full((2, 100), -1)
    for target, index in seen:
        for member in range(2):
            known = labels[member, index[member]]
            assert ((known == -1) | (known == target[member])).all()  # the same in every epoch
            labels[member, index[member]] = target[member]
    assert torch.equal(labels[0], labels[1]) == (of == "data")
    notes = json.loads(Path("runs/digits-mlp/summary.json").read_text())["notes"]
    assert any("50% of the training labels are wrong on purpose" in note for note in notes)


def human(root, flip):
    """CIFAR-10 with one image of each class a file, and human labels."""
    write_cifar(root)
    clean = np.tile(np.arange(10), 5).astype(np.uint8)
    worst = clean.copy()
    worst[:flip] = (worst[:flip] + 1) % 10
    return clean, worst


def test_cifar10n_takes_human_labels(tmp_path):
    clean, worst = human(tmp_path, flip=20)
    arrays = {"cifar10_clean_label": clean, "cifar10_worst_label": worst}
    np.savez(tmp_path / "cifar-n.npz", **arrays)
    data = CIFAR10N(root=tmp_path, verify=False)
    data.setup()
    assert np.array_equal(data.arrays.train_target, worst)
    assert any("human training labels (worst), 40.0% differ" in note for note in data.arrays.notes)
    np.savez(tmp_path / "cifar-n.npz", **(arrays | {"cifar10_clean_label": clean[::-1]}))
    with pytest.raises(ValueError, match="in another order than the images, 50 differ"):
        CIFAR10N(root=tmp_path, verify=False).setup()


def test_cifar10n_as_its_authors_publish_it(tmp_path):
    clean, worst = human(tmp_path, flip=5)
    stored = {"clean_label": clean, "aggre_label": worst, "random_label2": worst}
    torch.save(stored, tmp_path / "CIFAR-10_human.pt")
    for labels in ("aggregate", "random2"):
        data = CIFAR10N(labels=labels, root=tmp_path, verify=False)
        data.setup()
        assert np.array_equal(data.arrays.train_target, worst)


def test_cifar10h_is_read_in_both_forms(tmp_path):
    counts = np.arange(20).reshape(2, 10)
    with pytest.raises(FileNotFoundError, match=r"put cifar10h-counts.npy or .*--data.root"):
        cifar10h_counts(tmp_path)
    np.savez(tmp_path / "cifar10h.npz", counts=counts.astype(np.uint8))
    assert np.array_equal(cifar10h_counts(tmp_path), counts)
    np.save(tmp_path / "cifar10h-counts.npy", counts + 1)
    assert np.array_equal(cifar10h_counts(tmp_path), counts + 1)
