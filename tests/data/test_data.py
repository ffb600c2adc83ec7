import gzip

import jaxtyping
import numpy as np
import pytest
import torch

from bvalign.data import CIFAR10, CIFAR100, MNIST, Arrays, Digits, FashionMNIST, ResidentDataModule
from bvalign.data.augmentation import Augmentation, Resident
from bvalign.data.loader import EvalBatches, MemberBatches, MemberSchedule, Shard
from bvalign.randomness import Randomness, Streams
from tests.data_files import write_cifar, write_mnist


def split(num=23, size=6):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (num, 1, size, size), generator=generator, dtype=torch.uint8)
    return Resident(images, torch.arange(num) % 3)


PLAIN = Augmentation()


def batches(members, streams=None, batch_size=5, augmentation=PLAIN, epoch=0):
    loader = MemberBatches(
        split(),
        augmentation,
        lambda x: x.float(),
        members=members,
        streams=streams or Streams(),
        batch_size=batch_size,
    )
    loader.sampler.set_epoch(epoch)
    return list(loader)


def test_a_batch_holds_what_its_index_says():
    for images, target, index in batches([4, 2, 9]):
        assert images.shape == (3, 5, 1, 6, 6)
        assert torch.equal(images, split().images[index].float())
        assert torch.equal(target, split().target[index])


def test_an_epoch_visits_samples_once_and_drops_the_rest():
    index = torch.cat([index for _, _, index in batches([4, 2])], dim=1)
    assert index.shape == (2, 20)
    assert all(len(row.unique()) == 20 for row in index)
    assert not torch.equal(index[0], index[1])


def test_a_member_sees_the_same_alone_and_in_a_pack():
    augmentation = Augmentation(padding=2, flip=True)
    together = batches([3, 7, 1], augmentation=augmentation, epoch=2)
    alone = batches([7], augmentation=augmentation, epoch=2)
    for pack, single in zip(together, alone, strict=True):
        for a, b in zip(pack, single, strict=True):
            assert torch.equal(a[1], b[0])


def test_epochs_differ_and_a_shared_order_is_shared():
    first, second = (batches([0, 1], epoch=e)[0][2] for e in (0, 1))
    assert not torch.equal(first, second)
    shared = batches([0, 1], Streams(0, Randomness(order="shared")))[0][2]
    assert torch.equal(shared[0], shared[1])


def test_bootstrap_is_one_resample_for_all_epochs():
    streams = Streams(0, Randomness(bootstrap="member"))
    index = [torch.cat([b[2] for b in batches([0, 1], streams, 23, epoch=e)], 1) for e in (0, 1)]
    for row in range(2):
        values = [sorted(epoch[row].tolist()) for epoch in index]
        assert values[0] == values[1]
        assert len(set(values[0])) < 23
    assert sorted(index[0][0].tolist()) != sorted(index[0][1].tolist())


def test_all_members_visit_equally_many_samples_outside_their_folds():
    streams = Streams(0, Randomness(bootstrap="kfold", folds=2))  # 23 samples: 11 or 12 outside
    augmentation = Augmentation(flip="alternating")
    seen = [set(), set()]
    for epoch in range(12):
        index = torch.cat([b[2] for b in batches([0, 1], streams, 11, augmentation, epoch)], 1)
        assert index.shape == (2, 11)
        for row, rows in zip(seen, index.tolist(), strict=True):
            assert len(set(rows)) == 11
            row |= set(rows)
    assert seen == [set(streams.samples(member, 23).tolist()) for member in (0, 1)]
    assert seen[0] | seen[1] == set(range(23))
    assert not seen[0] & seen[1]


def test_ranks_need_equal_parts_of_a_batch():
    with pytest.raises(ValueError, match="must be a multiple of the 2 ranks that split it, got 25"):
        MemberSchedule(100, [0], Streams(), 25, shard=Shard(0, 2))


def test_augmentation_is_a_crop_of_the_padded_image_flipped_or_not():
    images = split().images
    uniform = np.array([[0.0, 0.0, 0.9], [0.999, 0.5, 0.9], [0.5, 0.5, 0.1]])
    out = augmented(Augmentation(padding=1, flip=True), torch.arange(3), uniform)
    padded = torch.nn.functional.pad(images[:3], (1, 1, 1, 1))
    assert torch.equal(out[0], padded[0, :, :6, :6])
    assert torch.equal(out[1], padded[1, :, 2:, 1:7])
    assert torch.equal(out[2], images[2].flip(-1))
    uniform = np.random.default_rng(0).random((400, 3))
    flips = augmented(Augmentation(flip=True), torch.zeros(400, dtype=torch.int64), uniform)
    assert 160 < sum(not torch.equal(image, images[0]) for image in flips) < 240


def augmented(augmentation, index, uniform):
    """Images of the split, by uniform random numbers."""
    shifts = torch.from_numpy(augmentation.shifts(uniform))
    return augmentation(augmentation.pad(split()).images, index, shifts)


def test_reflected_padding_mirrors_the_image_at_its_edge():
    for padding in (0, 1, 2, 5):
        here = Augmentation(padding, padding_mode="reflect").pad(split())
        mode = {"mode": "reflect", "pad_width": ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2)}
        assert np.array_equal(here.images.numpy(), np.pad(split().images.numpy(), **mode))
        assert torch.equal(here.unpadded(), split().images)


def test_alternating_flips_start_with_a_coin_and_then_take_turns():
    augmentation = Augmentation(flip="alternating")

    def flipped(members, epoch, streams=None):
        """Whether each member sees each image mirrored in an epoch."""
        found = np.zeros((len(members), 23), dtype=bool)
        for images, _, index in batches(members, streams, 23, augmentation, epoch):
            plain = split().images[index].float()
            mirrored = (images != plain).flatten(2).any(dim=2)
            assert torch.equal(
                torch.where(mirrored[..., None, None, None], images.flip(-1), images), plain
            )
            found[np.arange(len(members))[:, None], index.numpy()] = mirrored.numpy()
        return found

    first = flipped([3, 7], 0)
    for epoch in (1, 2, 5):
        assert np.array_equal(flipped([3, 7], epoch), first ^ (epoch % 2 == 1))
        assert np.array_equal(flipped([7], epoch)[0], first[1] ^ (epoch % 2 == 1))
    assert 4 < first[0].sum() < 19
    assert not np.array_equal(first[0], first[1])
    shared = flipped([3, 7], 0, Streams(0, Randomness(augmentation="shared")))
    assert np.array_equal(shared[0], shared[1])
    assert not np.array_equal(flipped([3], 0, Streams(1))[0], first[0])


def test_another_augmentation_is_another_identity(tmp_path):
    write_cifar(tmp_path)

    def identity(**options):
        data = CIFAR10(tmp_path, verify=False, **options)
        data.setup()
        return data.identity()

    usual = identity()
    assert usual.keys() == {
        *("name", "fingerprint", "batch_size", "augment", "label_noise", "label_noise_of")
    }
    other = {"flip": "alternating", "padding": 2, "padding_mode": "reflect"}
    assert identity(**other) == usual | other
    assert identity(flip="alternating") == usual | {"flip": "alternating"}
    assert identity(augment=False, **other) == usual | {"augment": False}
    with pytest.raises(ValueError, match=r"data.padding must lie in 0..31, got 32"):
        CIFAR10(tmp_path, padding=32)


def test_swapped_axes_are_refused_while_tests_run():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'uniform'"):
        Augmentation(padding=1).shifts(np.zeros((3, 5)))


def test_evaluation_visits_every_sample_once_in_order():
    index = torch.cat([index for _, _, index in EvalBatches(split(), 7, lambda x: x)])
    assert index.tolist() == list(range(23))


def test_digits_are_split_in_halves_of_each_class():
    data = Digits()
    data.setup()
    assert len(data.arrays.train_target) == 898
    assert data.num_test_samples == 899
    counts = np.bincount(data.arrays.test_target)
    assert counts.min() >= 87
    normal = data.normalise(torch.from_numpy(data.arrays.train_images))
    assert abs(float(normal.mean())) < 0.02
    assert abs(float(normal.std()) - 1) < 0.02


def test_a_part_of_the_data_is_balanced_and_fixed():
    parts = [Digits(num_train=50, num_test=31) for _ in range(2)]
    for part in parts:
        part.setup()
    assert np.bincount(parts[0].arrays.train_target).tolist() == [5] * 10
    assert parts[0].identity() == parts[1].identity()
    with pytest.raises(ValueError, match=r"data.num_train must lie in 1\.\.898"):
        Digits(num_train=10_000).setup()
    with pytest.raises(ValueError, match="must be at least 1, got 0 and 1000"):
        Digits(batch_size=0)


class _Broken(ResidentDataModule):
    name, class_names, image_shape, mean, std = "broken", ("a", "b"), (1, 2, 2), (0,), (1,)
    labels, pixels = [0, 1, 2], np.uint8

    def load(self):
        images = np.zeros((3, 1, 2, 2), self.pixels)
        return Arrays(images, np.array(self.labels), images, np.array([0, 1, 1]))


def test_labels_and_images_are_checked():
    with pytest.raises(
        ValueError, match=r"train labels must lie in 0\.\.1, .* first is 2 at row 2"
    ):
        _Broken().setup()
    broken = _Broken()
    broken.pixels = np.float32
    with pytest.raises(ValueError, match="images must be uint8"):
        broken.setup()


@pytest.mark.parametrize("compress", [True, False])
def test_mnist_is_read_plain_or_packed_without_writing(tmp_path, compress):
    raw = write_mnist(tmp_path, compress=compress)
    before = sorted(raw.iterdir())
    data = MNIST(root=tmp_path, verify=False)
    data.prepare_data()
    data.setup()
    assert data.arrays.train_images.shape == (30, 1, 28, 28)
    assert data.arrays.test_target.tolist() == [i % 10 for i in range(20)]
    assert "a re-encoded copy of mnist" in data.arrays.notes[0]
    assert sorted(raw.iterdir()) == before
    with pytest.raises(ValueError, match=r"differ from the official .* --data.verify=false"):
        MNIST(root=tmp_path).setup()


def test_damaged_files_are_named(tmp_path):
    raw = write_mnist(tmp_path)
    path = raw / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.gz is damaged"):
        MNIST(root=tmp_path, verify=False).setup()
    path.write_bytes(gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x05abc"))
    with pytest.raises(ValueError, match="not a whole idx file"):
        MNIST(root=tmp_path, verify=False).setup()


@pytest.mark.parametrize(
    ("module", "name", "classes"),
    [(CIFAR10, "cifar-10-batches-py", 10), (CIFAR100, "cifar-100-python", 100)],
)
def test_cifar_copies_are_accepted_only_unverified(tmp_path, module, name, classes):
    folder = write_cifar(tmp_path, name, classes)
    data = module(root=tmp_path, verify=False)
    data.prepare_data()
    data.setup()
    assert data.arrays.train_images.shape[1:] == (3, 32, 32)
    assert data.num_classes == classes == len(set(data.class_names))
    assert "re-encoded" in data.arrays.notes[0]
    with pytest.raises(ValueError, match="differ from the official checksums"):
        module(root=tmp_path).setup()
    (folder / ("test_batch" if classes == 10 else "test")).write_bytes(b"\x80\x04cut")
    with pytest.raises(ValueError, match="damaged"):
        module(root=tmp_path, verify=False).setup()


def test_class_names_agree_with_torchvision():
    import torchvision

    assert list(CIFAR10.class_names)[1] == "automobile"
    assert [n.split(" ")[0] for n in torchvision.datasets.MNIST.classes] == list(MNIST.class_names)
    assert torchvision.datasets.FashionMNIST.classes == list(FashionMNIST.class_names)


@pytest.mark.parametrize(
    ("module", "file"),
    [(FashionMNIST, "FashionMNIST/raw"), (CIFAR10, "cifar-10-batches-py/")],
)
def test_no_network_and_no_data_says_what_to_put_where(tmp_path, module, file, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(module, "download", offline)
    with pytest.raises(FileNotFoundError, match=f"no data in .* put {file}.* BVALIGN_DATA"):
        module(root=tmp_path).prepare_data()


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BVALIGN_DATA", str(tmp_path))
    assert MNIST().root == tmp_path
    assert str(MNIST(root="elsewhere").root) == "elsewhere"
