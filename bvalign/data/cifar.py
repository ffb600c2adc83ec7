"""CIFAR-10 and CIFAR-100, read from a local folder or downloaded to it."""

import pickle
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Integer, UInt8

from bvalign.data.augmentation import Augmentation
from bvalign.data.datamodule import Arrays
from bvalign.data.images import DownloadableImages


class CIFAR10(DownloadableImages):
    """Colour photographs in 10 classes, 32 x 32 pixels; 50,000 train and 10,000 test."""

    name = "cifar10"
    class_names = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
    image_shape = (3, 32, 32)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    augmentation = Augmentation(padding=4, flip=True)
    files = "cifar-10-batches-py/ (unpacked from cifar-10-python.tar.gz)"

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
        """One split; its pickles may hold arrays, and nothing that could run code."""
        official = self._torchvision()
        images, labels = [], []
        for name, _ in official.train_list if train else official.test_list:
            path = self._folder() / name
            try:
                with path.open("rb") as file:
                    rows = _Arrays(file, encoding="latin1").load()
                images.append(rows["data"].reshape(-1, *self.image_shape))
                found = rows["labels" if "labels" in rows else "fine_labels"]
                labels.append(np.array(found, dtype=np.int64))
                self._check_rows(images[-1], labels[-1])
            except Exception as error:  # damaged pickles raise any
                raise ValueError(f"{path}: damaged ({error}); download it again") from error
        return np.concatenate(images), np.concatenate(labels)

    def _check_rows(self, images: np.ndarray, labels: np.ndarray) -> None:
        inside = ((labels >= 0) & (labels < self.num_classes)).all()
        if images.dtype != np.uint8 or labels.shape != images.shape[:1] or not inside:
            raise ValueError(f"images {images.dtype} {images.shape}, labels {labels.shape}")


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


class _Arrays(pickle.Unpickler):
    """Reads dicts, lists and arrays."""

    ALLOWED: ClassVar[set[tuple[str, str]]] = {
        *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
        *(("numpy", name) for name in ("ndarray", "dtype")),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> object:
        """Finds what arrays are made of.

        Raises:
            UnpicklingError: it is anything else.
        """
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"holds {module}.{name}, which is not loaded")
        return super().find_class(module, name)
