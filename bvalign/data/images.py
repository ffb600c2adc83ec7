"""MNIST and Fashion-MNIST, and how data sets are read from a local folder or downloaded to it."""

import gzip
import hashlib
import os
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.error import URLError

import numpy as np
from jaxtyping import UInt8

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


class DownloadableImages(DownloadableDataModule):
    """Images that are downloaded where they are missing, with random crops and flips.

    Args:
        root: see `DownloadableDataModule`.
        verify: see `DownloadableDataModule`.
        flip: mirror each image at random in every epoch, or draw once for each image and member
            and then mirror it in every other epoch, or never; by default as usual for the data set.
        padding: pixels added on each side before a random crop of the images' own size; by default
            as usual for the data set.
        padding_mode: the added pixels are black, or those of the image mirrored at its edge.
        **kwargs: of `ResidentDataModule`.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        verify: bool = True,
        flip: Literal["random", "alternating", "never"] | None = None,
        padding: int | None = None,
        padding_mode: PaddingMode = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(root, verify, **kwargs)
        usual = self.augmentation
        padding = usual.padding if padding is None else padding
        if not 0 <= padding < self.image_shape[-1]:
            most = self.image_shape[-1] - 1
            raise ValueError(f"data.padding must lie in 0..{most}, got {padding}")
        flips = {None: usual.flip, "random": True, "alternating": "alternating", "never": False}
        self.augmentation = Augmentation(padding, flips[flip], padding_mode)

    def identity(self) -> dict[str, object]:
        """With the augmentation where it is not the usual one."""
        usual = type(self).augmentation
        fields = zip(Augmentation._fields, self.augmentation, usual, strict=True)
        changed = {name: value for name, value, usual in fields if value != usual}
        return super().identity() | (changed if self.augment else {})


class MNIST(DownloadableImages):
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


def _parse_idx(file: str, content: bytes) -> UInt8[np.ndarray, "..."]:
    """The idx format of MNIST: 0, 0, 8 (uint8), number of axes, sizes (big-endian), data."""
    axes = content[3] if len(content) > 3 else 0
    shape = np.frombuffer(content, dtype=">u4", count=axes, offset=4) if axes else np.empty(0)
    if content[:3] != b"\x00\x00\x08" or len(content) != 4 + 4 * axes + int(np.prod(shape)):
        raise ValueError(f"{file} is not a whole idx file of uint8; download it again")
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape).copy()
