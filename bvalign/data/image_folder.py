"""Class folders of images that are read from disk during training, such as ImageNet."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, Num, Shaped, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bvalign.data.datamodule import Arrays, EnsembleDataModule, balanced_rows
from bvalign.data.image_workers import Centres, Crops, MemberSampler, Thumbnails
from bvalign.data.normalise import Normalise
from bvalign.predictions.run.samples import Samples, Split

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as is usual
THUMBNAIL = 32  # pixels; 50,000 of them are 150 MB
UNREAD = (".gif", ".jfif", ".jpe", ".jp2", ".avif", ".heic", ".heif", ".npy", ".dcm", ".svg")
"""Endings of images that are not read, which a note says."""
NO_DATA = "__MACOSX"  # what macOS puts beside the content of an archive

Labels = Int64[Tensor, "*members batch"]
ImageBatch = tuple[UInt8[Tensor, "*members batch 3 size size"], Labels, Labels]


class ImageFolder(EnsembleDataModule):
    """Class folders of images: `root/train/<class>/*.jpg` and `root/val/<class>/*.jpg`.

    Each member has its own order, crops and flips and so decodes its own images: a pack needs as
    many times the workers of one member as it has members. Names that begin with a dot are neither
    classes nor images. Grey images of 16 bits are scaled to 8.

    Args:
        root: folder that holds both splits.
        train: subfolder with the training images.
        test: subfolder with the test images, such as the validation set of ImageNet.
        size: height and width of the inputs in pixels; test images are resized to 8/7 of it and
            cropped at the centre.
        batch_size: samples per member and training step.
        eval_batch_size: samples per evaluation batch; affects speed and memory only.
        augment: train on random resized crops and flips, otherwise on centre crops.
        num_train: number of training samples to use, balanced over classes; all by default.
        num_test: the same for the test split.
        workers: decoding processes, for training and testing each; 0 decodes in the main process.
    """

    name = "image-folder"

    def __init__(
        self,
        root: str | Path,
        train: str = "train",
        test: str = "val",
        size: int = 224,
        batch_size: int = 128,
        eval_batch_size: int = 100,
        augment: bool = True,
        num_train: int | None = None,
        num_test: int | None = None,
        workers: int = 8,
    ) -> None:
        super().__init__()
        if min(size, batch_size, eval_batch_size) < 1 or workers < 0:
            raise ValueError(
                "data.size, data.batch_size and data.eval_batch_size must be at least 1 and "
                f"data.workers at least 0, got {size}, {batch_size}, {eval_batch_size} and "
                f"{workers}"
            )
        self.root, self.folders = Path(root), {"train": train, "test": test}
        self.size, self.augment, self.workers = size, augment, workers
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.num_train, self.num_test = num_train, num_test
        self.normalise = Normalise(MEAN, STD)
        folder = self.root / train
        names = [inside.name for inside in _folders(folder)]
        if len(names) < 2:
            raise ValueError(f"data.root: '{folder}' must hold a folder of images for each class")
        self.class_names = tuple(names)
        self.image_shape = (3, size, size)

    def setup(self, stage: str | None = None) -> None:
        """Lists the files on the first call; later calls do nothing."""
        if self.arrays is not None:
            return
        train, train_target = self._files("train", self.num_train)
        test, test_target = self._files("test", self.num_test)
        notes = (*self._unused("train"), *self._unused("test"))
        self.arrays = Arrays(train, train_target, test, test_target, notes)

    def samples(self, split: Split = "test") -> Samples:
        """Labels and thumbnails of a split, which are read here: one process needs them.

        Threads decode them: a process must not fork once a GPU is in use.
        """
        files, target = self.arrays[:2] if split == "train" else self.arrays[2:4]
        small = Thumbnails(files, target, THUMBNAIL)
        with ThreadPoolExecutor(max(self.workers, 1)) as threads:
            images, deep = zip(*threads.map(small.__getitem__, range(len(small))), strict=True)
        notes = self.arrays.notes
        if any(deep):
            scaled = f"{sum(deep)} of {len(deep)} {split} images of 16 bits are scaled to 8 bits"
            notes = (*notes, f"data: {scaled}")
        thumbnails = torch.stack(images).numpy()
        return Samples(target, self.class_names, thumbnails, notes)

    def identity(self) -> dict[str, object]:
        """Settings, and a hash of all file names and sizes: reading ImageNet takes hours."""
        digest = hashlib.sha256()
        for file in (*self.arrays.train_images, *self.arrays.test_images):
            path = Path(file)
            line = f"{path.relative_to(self.root).as_posix()} {path.stat().st_size}\n"
            digest.update(line.encode())
        return {
            "name": f"{self.name}/{self.root.resolve().name}",
            "fingerprint": digest.hexdigest()[:16],
            "size": self.size,
            "batch_size": self.batch_size,
            "augment": self.augment,
        }

    def train_dataloader(self) -> DataLoader:
        """Batches for the members that the LightningModule currently holds."""
        files, target = self.arrays.train_images, self.arrays.train_target
        sampler = MemberSampler(len(target), **self.schedule())
        dataset = (Crops if self.augment else Centres)(files, target, self.size)
        return self._loader(dataset, batch_sampler=sampler, collate_fn=sampler.collate)

    def test_dataloader(self) -> DataLoader:
        return self._in_order(self.arrays.test_images, self.arrays.test_target)

    val_dataloader = test_dataloader

    def predict_dataloader(self) -> DataLoader:
        return self._in_order(self.arrays.train_images, self.arrays.train_target)

    def on_after_batch_transfer(
        self, batch: ImageBatch | list[Tensor], dataloader_idx: int
    ) -> tuple[Float[Tensor, "*members batch 3 size size"], Labels, Labels]:
        """Scales uint8 images to mean 0 and standard deviation 1, on the device.

        Args:
            batch: as the workers give it; a list where PyTorch's own collate function made it.
            dataloader_idx: of Lightning.
        """
        image, target, index = batch
        return self.normalise(image), target, index

    def train_inputs(self) -> tuple[Num[Tensor, "samples ..."], Int64[Tensor, " samples"]]:
        raise ValueError(
            f"{self.name}: the training set stays on disk, so callbacks that need all of it at "
            "once cannot run; leave out NeuralCollapseMonitor"
        )

    def _files(
        self, split: str, num: int | None
    ) -> tuple[Shaped[np.ndarray, " files"], Int64[np.ndarray, " files"]]:
        """Paths and labels, sorted by class and then by name."""
        folder, files, target = self.root / self.folders[split], [], []
        for label, name in enumerate(self.class_names):
            images = [str(file) for file in sorted(_images(folder / name))]
            if not images:
                raise ValueError(
                    f"data.root: '{folder / name}' must hold images, there are none "
                    f"({', '.join(_endings())} are read); both splits need images of every class"
                )
            files += images
            target += [label] * len(images)
        target = np.array(target, dtype=np.int64)
        keep = balanced_rows(split, target, num)
        return np.array(files)[keep], target[keep]

    def _unused(self, split: str) -> Iterator[str]:
        """Notes on images of a split that are in no folder of a class."""
        folder, classes = self.root / self.folders[split], self.root / self.folders["train"]
        for inside in _folders(folder):
            if inside.name not in self.class_names:
                unused = sum(1 for _ in _images(inside))
                yield f"data: '{inside}' is no class of '{classes}', {unused} images are not used"
        loose = sum(1 for file in _images(folder) if file.parent == folder)
        if loose:
            yield f"data: {loose} images in '{folder}' lie in no class folder and are not used"
        unread = [file for name in self.class_names for file in _images(folder / name, unread=True)]
        if unread:
            endings = ", ".join(sorted({file.suffix.lower() for file in unread}))
            yield f"data: {len(unread)} images in '{folder}' are not used: {endings} is not read"

    def _in_order(
        self, files: Shaped[np.ndarray, " files"], target: Int64[np.ndarray, " files"]
    ) -> DataLoader:
        """Centre crops of this rank's part of a split."""
        part = self.shard.of(len(files))
        mine = range(part.start, part.stop)
        dataset = Centres(files, target, self.size)
        return self._loader(dataset, batch_size=self.eval_batch_size, sampler=mine)

    def _loader(self, dataset: Dataset, **arguments: object) -> DataLoader:
        device, several = self.trainer.strategy.root_device.type, self.workers > 0
        return DataLoader(
            dataset,
            num_workers=self.workers,
            pin_memory=device == "cuda",  # Lightning then copies while the host goes on
            persistent_workers=several,
            multiprocessing_context="spawn" if several and device != "cpu" else None,
            **arguments,
        )


def _folders(folder: Path) -> list[Path]:
    """Folders in a folder by name, without hidden ones; none if there is no such folder."""
    inside = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in inside if path.is_dir() and _is_data(path.name))


def _images(folder: Path, *, unread: bool = False) -> Iterator[Path]:
    """Image files anywhere below a folder, without hidden ones; or those that are not read."""
    endings = UNREAD if unread else _endings()
    for path in folder.rglob("*"):
        shown = all(_is_data(name) for name in path.relative_to(folder).parts)
        if shown and path.suffix.lower() in endings and path.is_file():
            yield path


def _endings() -> tuple[str, ...]:
    """Endings of images that are read."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    return IMG_EXTENSIONS


def _is_data(name: str) -> bool:
    return not name.startswith(".") and name != NO_DATA
