"""Data sets that fit into the memory of the training device.

A data set is a subclass that names its classes and image shape and implements `load`.
"""

import hashlib
from abc import abstractmethod
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64, Integer, Num, Shaped, UInt8
from torch import Tensor

from bvalign.data.augmentation import Augmentation, Resident
from bvalign.data.datamodule import Arrays, EnsembleDataModule, balanced_rows
from bvalign.data.label_noise import symmetric_noise
from bvalign.data.loader import EvalBatches, MemberBatches
from bvalign.data.normalise import Normalise


class ResidentDataModule(EnsembleDataModule):
    """A small data set kept on the training device, as uint8 images or token ids.

    Training batches are (input, target, index) with a leading member axis; evaluation batches have
    none. Validation runs on the test split while members train; nothing is selected by it.

    Args:
        batch_size: samples per member and training step.
        eval_batch_size: samples per evaluation batch; affects speed and memory only.
        augment: apply the data set's usual random crops and flips in training, where it has any.
        num_train: number of training samples to use, balanced over classes and chosen by position,
            not by the seed; all by default.
        num_test: the same for the test split.
        label_noise: fraction of the training labels replaced by another class, in [0, 1].
        label_noise_of: `data` gives all members and seeds the same wrong labels, determined by the
            data alone; `member` draws them for each member.
    """

    mean: ClassVar[tuple[float, ...]]  # per channel, of pixels scaled to [0, 1]
    std: ClassVar[tuple[float, ...]]
    joins_steps = True
    augmentation: ClassVar[Augmentation] = Augmentation()
    batches: ClassVar[type[MemberBatches]] = MemberBatches
    dtype: ClassVar[type[np.generic]] = np.uint8  # of the inputs that `load` gives

    def __init__(
        self,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        augment: bool = True,
        num_train: int | None = None,
        num_test: int | None = None,
        label_noise: float = 0.0,
        label_noise_of: Literal["data", "member"] = "data",
    ) -> None:
        super().__init__()
        if min(batch_size, eval_batch_size) < 1:
            raise ValueError(
                f"data.batch_size and data.eval_batch_size must be at least 1, got {batch_size} "
                f"and {eval_batch_size}"
            )
        if not 0 <= label_noise <= 1:
            raise ValueError(f"data.label_noise is a fraction in 0..1, got {label_noise}")
        self.batch_size, self.eval_batch_size, self.augment = batch_size, eval_batch_size, augment
        self.num_train, self.num_test = num_train, num_test
        self.label_noise, self.label_noise_of = label_noise, label_noise_of
        self._splits: dict[tuple[str, torch.device], Resident] = {}

    @abstractmethod
    def load(self) -> Arrays:
        """Reads both splits into memory; called once per process."""

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape of one input as `load` gives it."""
        return self.image_shape

    def setup(self, stage: str | None = None) -> None:
        """Loads, checks and subsamples the arrays on the first call; later calls do nothing."""
        if self.arrays is not None:
            return
        arrays = self.load()
        self._check("train", arrays.train_images, arrays.train_target)
        self._check("test", arrays.test_images, arrays.test_target)
        train = balanced_rows("train", arrays.train_target, self.num_train)
        test = balanced_rows("test", arrays.test_target, self.num_test)
        self.arrays = Arrays(
            arrays.train_images[train],
            arrays.train_target[train].astype(np.int64),
            arrays.test_images[test],
            arrays.test_target[test].astype(np.int64),
            arrays.notes,
            None if arrays.clean_target is None else arrays.clean_target[train],
        )
        if self.texts is not None:
            self.texts = tuple(self.texts[row] for row in test)
        if self.train_texts is not None:
            self.train_texts = tuple(self.train_texts[row] for row in train)
        if self.label_noise:
            self._make_noisy()

    def identity(self) -> dict[str, object]:
        """Settings and a hash of the data that determine a trained member; needs `setup`."""
        return {
            "name": self.name,
            "fingerprint": self._fingerprint(),
            "batch_size": self.batch_size,
            "augment": self._augmentation() != Augmentation(),
            "label_noise": self.label_noise,
            "label_noise_of": self.label_noise_of,
        }

    def train_dataloader(self) -> MemberBatches:
        """Batches for the members that the LightningModule currently holds.

        Raises:
            ValueError: members have their own labels, but are to share epochs.
        """
        split, module = self._resident("train"), self.trainer.lightning_module
        if self.label_noise and self.label_noise_of == "member":
            if module.streams.randomness.shared_epochs:
                raise ValueError(
                    "model.randomness.shared_epochs needs --data.label_noise_of=data, got member: "
                    "members that share epochs share the labels"
                )
            target = np.empty((len(module.members), len(split.images)), dtype=np.int64)
            for row, member in zip(target, module.members, strict=True):
                stream = module.streams.generator("label_noise", member)
                row[:] = self._with_noise(self.arrays.train_target, stream)
            split = split._replace(target=torch.from_numpy(target).to(split.target.device))
        return self.batches(split, self._augmentation(), self.normalise, **self.schedule())

    def first_inputs(self, num: int) -> Num[Tensor, "samples ..."]:
        images = torch.from_numpy(self.arrays.train_images[:num])
        return self.normalise(images.to(self.trainer.strategy.root_device))

    def train_inputs(self) -> tuple[Num[Tensor, "samples ..."], Int64[Tensor, " samples"]]:
        """The whole training set without augmentation: inputs and labels on the device."""
        split = self._resident("train")
        return self.normalise(split.unpadded()), split.target

    def test_dataloader(self) -> EvalBatches:
        split = self._resident("test")
        return EvalBatches(split, self.eval_batch_size, self.normalise, self.shard)

    val_dataloader = test_dataloader

    def predict_dataloader(self) -> EvalBatches:
        split = self._resident("train")
        plain = Resident(split.unpadded(), split.target)
        return EvalBatches(plain, self.eval_batch_size, self.normalise, self.shard)

    def normalise(
        self, images: UInt8[Tensor, "*batch channels height width"]
    ) -> Float[Tensor, "*batch channels height width"]:
        """Scales uint8 images to mean 0 and standard deviation 1."""
        return self._scale(images)

    @cached_property
    def _scale(self) -> Normalise:
        return Normalise(self.mean, self.std)

    def _augmentation(self) -> Augmentation:
        return self.augmentation if self.augment else Augmentation()

    def _resident(self, split: Literal["train", "test"]) -> Resident:
        """A split on the device, copied there once for all waves; that of training is padded."""
        device = self.trainer.strategy.root_device
        if (split, device) not in self._splits:
            arrays = self.arrays[:2] if split == "train" else self.arrays[2:4]
            resident = Resident(*(torch.from_numpy(array).to(device) for array in arrays))
            if split == "train":
                resident = self._augmentation().pad(resident)
            self._splits[split, device] = resident
        return self._splits[split, device]

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for array in self.arrays[:4]:
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()[:16]

    def _make_noisy(self) -> None:
        """Replaces labels if the noise is that of the data, and adds a note in either case."""
        noisy, clean = self.arrays.train_target, self.arrays.clean_target
        if self.label_noise_of == "data":
            clean = noisy if clean is None else clean
            seed = int(self._fingerprint(), 16)
            noisy = self._with_noise(noisy, np.random.default_rng(seed))
        of = "each member's own" if self.label_noise_of == "member" else "the same for all members"
        note = f"data: {self.label_noise:.0%} of the training labels are wrong on purpose, {of}"
        notes = (*self.arrays.notes, note)
        self.arrays = self.arrays._replace(train_target=noisy, notes=notes, clean_target=clean)

    def _with_noise(
        self, target: Int64[np.ndarray, " samples"], generator: np.random.Generator
    ) -> Int64[np.ndarray, " samples"]:
        return symmetric_noise(target, self.num_classes, self.label_noise, generator)

    def _check(
        self,
        split: str,
        images: Shaped[np.ndarray, "samples ..."],
        target: Integer[np.ndarray, " samples"],
    ) -> None:
        if images.shape[1:] != self.stored_shape or images.dtype != self.dtype:
            raise ValueError(
                f"{self.name}: {split} images must be {self.dtype.__name__} (samples, "
                f"{self.stored_shape}), got {images.dtype} {images.shape}"
            )
        outside = np.flatnonzero((target < 0) | (target >= self.num_classes))
        if len(outside):
            raise ValueError(
                f"{self.name}: {split} labels must lie in 0..{self.num_classes - 1}, but "
                f"{len(outside)} do not, the first is {target[outside[0]]} at row {outside[0]}"
            )
