"""MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100, read from a local folder or downloaded to it."""

import gzip
import hashlib
import os
from abc import abstractmethod
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, ClassVar, Literal
from urllib.error import URLError

import numpy as np
from jaxtyping import Integer, UInt8

from bvalign.data.augmentation import Augmentation, PaddingMode
from bvalign.data.datamodule import Arrays
from bvalign.data.resident import ResidentDataModule


class DownloadableDataModule(ResidentDataModule):
    """A data set that is downloaded where it is missing.

    Args:
        root: folder with the files, into which they are downloaded; by default $BVALIGN_DATA, else
            `data`.
        verify: require the official checksums. `false` accepts a re-encoded copy, and every
            summary then says so.
        **kwargs: of `ResidentDataModule`.
    """

    files: ClassVar[str]  # expected under `root`, for the error when they are missing

    def __init__(
        self,
        root: str | Path | None = None,
        verify: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = Path(root or os.environ.get("BVALIGN_DATA") or "data")
        self.verify = verify

    @abstractmethod
    def has_files(self) -> bool:
        """Returns whether all files lie under `root`, whatever their content."""

    @abstractmethod
    def download(self) -> None:
        """Downloads the official files to `root`."""

    def prepare_data(self) -> None:
        """Downloads missing files; Lightning calls it in one process per node."""
        if self.has_files():
            return
        try:
            self.download()
        except (URLError, OSError, RuntimeError) as error:
            raise FileNotFoundError(
                f"{self.name}: no data in '{self.root}', and the download failed ({error}); put "
                f"{self.files} there, or point --data.root or BVALIGN_DATA to the folder that has "
                "the files"
            ) from error

    def _checksum_note(self, differing: list[str]) -> tuple[str, ...]:
        """Refuses files that differ from the official ones, or notes that they are accepted."""
        if not differing:
            return ()
        files = ", ".join(differing)
        if self.verify:
            raise ValueError(
                f"{self.name}: {files} in '{self.root}' differ from the official checksums; a "
                "re-encoded copy is accepted with --data.verify=false"
            )
        return (
            f"data: a re-encoded copy of {self.name}, not the official files (checksums differ: "
            f"{files}); accuracies are this copy's own",
        )


class MNIST(DownloadableDataModule):
    """Handwritten digits, 28 x 28 grey values; 60,000 train and 10,000 test."""

    name = "mnist"
    class_names = tuple("0123456789")
    image_shape = (1, 28, 28)
    mean, std = (0.1307,), (0.3081,)
    files = "MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte (plain or .gz)"
    folder: ClassVar[str] = "MNIST"
    md5: ClassVar[dict[str, str]] = {  # of the unpacked files
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }

    def has_files(self) -> bool:
        return all(self._path(file) is not None for file in self.md5)

    def download(self) -> None:
        import torchvision

        getattr(torchvision.datasets, self.folder)(self.root, download=True)

    def load(self) -> Arrays:
        content = {file: self._read(file) for file in self.md5}
        differing = [f for f in self.md5 if hashlib.md5(content[f]).hexdigest() != self.md5[f]]
        notes = self._checksum_note(differing)
        arrays = [_parse_idx(file, content[file]) for file in self.md5]
        train_images, train_target, test_images, test_target = arrays
        return Arrays(train_images[:, None], train_target, test_images[:, None], test_target, notes)

    def _path(self, file: str) -> Path | None:
        raw = self.root / self.folder / "raw"
        return next((p for p in (raw / file, raw / f"{file}.gz") if p.is_file()), None)

    def _read(self, file: str) -> bytes:
        path = self._path(file)
        try:
            return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (EOFError, gzip.BadGzipFile) as error:
            raise ValueError(
                f"{self.name}: {path} is damaged ({error}); download it again"
            ) from error


class FashionMNIST(MNIST):
    """Clothes from a catalogue, 28 x 28 grey values; 60,000 train and 10,000 test."""

    name = "fashion-mnist"
    class_names = tuple(
        "T-shirt/top|Trouser|Pullover|Dress|Coat|Sandal|Shirt|Sneaker|Bag|Ankle boot".split("|")
    )
    mean, std = (0.2860,), (0.3530,)
    files = "FashionMNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte (plain or .gz)"
    folder = "FashionMNIST"
    md5 = {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    }


class CIFAR10(DownloadableDataModule):
    """Colour photographs in 10 classes, 32 x 32 pixels; 50,000 train and 10,000 test.

    Args:
        root: see `DownloadableDataModule`.
        verify: see `DownloadableDataModule`.
        flip: mirror each image at random in every epoch, or draw once for each image and member
            and then mirror it in every other epoch.
        padding: pixels added on each side before a random crop of 32 x 32, 0 to 31.
        padding_mode: the added pixels are black, or those of the image mirrored at its edge.
        **kwargs: of `ResidentDataModule`.
    """

    name = "cifar10"
    class_names = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
    image_shape = (3, 32, 32)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    augmentation = Augmentation(padding=4, flip=True)
    files = "cifar-10-batches-py/ (unpacked from cifar-10-python.tar.gz)"

    def __init__(
        self,
        root: str | Path | None = None,
        verify: bool = True,
        flip: Literal["random", "alternating"] = "random",
        padding: int = 4,
        padding_mode: PaddingMode = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, verify, **kwargs)
        if not 0 <= padding < self.image_shape[-1]:
            most = self.image_shape[-1] - 1
            raise ValueError(f"data.padding must lie in 0..{most}, got {padding}")
        self.augmentation = Augmentation(padding, flip == "random" or flip, padding_mode)

    def identity(self) -> dict[str, object]:
        """With the augmentation where it is not the usual one."""
        fields = zip(Augmentation._fields, self.augmentation, CIFAR10.augmentation, strict=True)
        changed = {name: value for name, value, usual in fields if value != usual}
        return super().identity() | (changed if self.augment else {})

    def has_files(self) -> bool:
        return all((self._folder() / file).is_file() for file in self._checksums())

    def download(self) -> None:
        self._torchvision()(self.root, download=True)

    def load(self) -> Arrays:
        from torchvision.datasets.utils import calculate_md5

        folder, checksums = self._folder(), self._checksums()
        notes = self._checksum_note(
            [f for f in checksums if calculate_md5(folder / f) != checksums[f]]
        )
        arrays = [array for train in (True, False) for array in self._read(train)]
        return Arrays(*arrays, notes)

    def _torchvision(self) -> type:
        import torchvision

        return torchvision.datasets.CIFAR10

    def _folder(self) -> Path:
        return self.root / self._torchvision().base_folder

    def _checksums(self) -> dict[str, str]:
        return dict(self._torchvision().train_list + self._torchvision().test_list)

    def _read(
        self, train: bool
    ) -> tuple[UInt8[np.ndarray, "samples 3 32 32"], Integer[np.ndarray, " samples"]]:
        """One split, read by torchvision without its checksum test, which `load` has done."""
        official = self._torchvision()
        unchecked = {
            "train_list": [[file, None] for file, _ in official.train_list],
            "test_list": [[file, None] for file, _ in official.test_list],
            "meta": {**official.meta, "md5": None},
        }
        try:
            split = type(official.__name__, (official,), unchecked)(self.root, train=train)
        except (EOFError, KeyError, ValueError, RuntimeError, UnpicklingError) as error:
            raise ValueError(
                f"{self.name}: the files in '{self._folder()}' are damaged ({error}); download "
                "them again"
            ) from error
        return split.data.transpose(0, 3, 1, 2).copy(), np.asarray(split.targets)


class CIFAR100(CIFAR10):
    """Colour photographs in 100 classes, 32 x 32 pixels; 50,000 train and 10,000 test."""

    name = "cifar100"
    class_names = tuple(
        "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge "
        "bus butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud "
        "cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox "
        "girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man "
        "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree "
        "pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray "
        "road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel "
        "streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
        "trout tulip turtle wardrobe whale willow_tree wolf woman worm".split()
    )
    mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    files = "cifar-100-python/ (unpacked from cifar-100-python.tar.gz)"

    def _torchvision(self) -> type:
        import torchvision

        return torchvision.datasets.CIFAR100


def _parse_idx(file: str, content: bytes) -> UInt8[np.ndarray, "..."]:
    """The idx format of MNIST: 0, 0, 8 (uint8), number of axes, sizes (big-endian), data."""
    axes = content[3] if len(content) > 3 else 0
    shape = np.frombuffer(content, dtype=">u4", count=axes, offset=4) if axes else np.empty(0)
    if content[:3] != b"\x00\x00\x08" or len(content) != 4 + 4 * axes + int(np.prod(shape)):
        raise ValueError(f"{file} is not a whole idx file of uint8; download it again")
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape).copy()
