"""The contract of a data set: two splits, their class names, and batches by member.

train_dataloader   (input, target, index), each (members, batch, ...): the members that the
                   LightningModule holds, each in its own order and with its own augmentation
test_dataloader    the same without the member axis: every test sample once, in order
predict_dataloader the same of the training samples, without augmentation
"""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Int64, Integer, Num, Shaped
from lightning.pytorch import LightningDataModule
from torch import Tensor

from bvalign.data.loader import Shard
from bvalign.predictions.run.samples import Samples, Split
from bvalign.randomness import Streams


class Arrays(NamedTuple):
    """Both splits, with notes for readers of the results.

    Inputs are uint8 images (samples, channels, height, width) or token ids (samples, words); a data
    set that stays on disk has file paths.
    """

    train_images: Shaped[np.ndarray, "train ..."]
    train_target: Integer[np.ndarray, " train"]
    test_images: Shaped[np.ndarray, "test ..."]
    test_target: Integer[np.ndarray, " test"]
    notes: tuple[str, ...] = ()  # repeated in every summary, such as "a re-encoded copy"
    clean_target: Integer[np.ndarray, " train"] | None = None  # if `train_target` has known errors


class EnsembleDataModule(LightningDataModule):
    """A data set for ensembles. Validation runs on the test split; nothing is selected by it."""

    name: ClassVar[str]
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]  # channels, height, width of one input
    batch_size: int  # samples per member and training step
    joins_steps: ClassVar[bool] = False  # a batch may hold several training steps (MemberSchedule)
    arrays: Arrays | None = None  # after `setup`
    texts: tuple[str, ...] | None = None  # of the test samples, for readers, if they are text
    train_texts: tuple[str, ...] | None = None  # likewise of the training samples

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def num_test_samples(self) -> int:
        """Size of the test split; needs `setup`."""
        return len(self.arrays.test_target)

    def steps_per_epoch(self, streams: Streams) -> int:
        """Training steps of each member in an epoch; needs `setup`."""
        visited = streams.samples_per_epoch(len(self.arrays.train_target))
        return max(visited // self.batch_size, 1)

    def samples(self, split: Split = "test") -> Samples:
        """Labels and images (or texts) of a split, for the report; needs `setup`."""
        arrays = self.arrays
        if split == "train":
            target, images, texts = arrays.train_target, arrays.train_images, self.train_texts
        else:
            target, images, texts = arrays.test_target, arrays.test_images, self.texts
        return Samples(
            target,
            self.class_names,
            None if self.texts else images,
            arrays.notes,
            texts,
            arrays.clean_target if split == "train" else None,
        )

    @property
    def shard(self) -> Shard:
        """This rank's part of every batch, as the strategy splits it."""
        ranks = self.trainer.distributed_sampler_kwargs or {"rank": 0, "num_replicas": 1}
        return Shard(ranks["rank"], ranks["num_replicas"])

    def schedule(self) -> dict[str, object]:
        """Arguments of `MemberSchedule` for the members that the LightningModule holds."""
        module = self.trainer.lightning_module
        return {
            "members": module.members,
            "streams": module.streams,
            "batch_size": self.batch_size,
            "shard": self.shard,
            "start": module.start,
            "steps_at_once": module.steps_at_once,
            "drawn": module.drawn,
        }

    @abstractmethod
    def identity(self) -> dict[str, object]:
        """Settings and content of the data that determine a trained member; needs `setup`."""

    def first_inputs(self, num: int) -> Num[Tensor, "samples ..."]:
        """The first training inputs without augmentation, on the device; needs `setup`.

        Args:
            num: how many, of a smaller training set all.

        Raises:
            ValueError: the data has no such inputs.
        """
        raise ValueError(
            f"{self.name}: this data set gives no inputs that networks begin with; use another "
            "--model.arch"
        )

    def predict_dataloader(self) -> object:
        """Batches of all training samples in order, without augmentation and member axis."""
        raise ValueError(
            f"{self.name}: this data set has no predict_dataloader, which gives training samples "
            "without augmentation; leave out --predictions.train"
        )

    @abstractmethod
    def train_inputs(self) -> tuple[Num[Tensor, "samples ..."], Int64[Tensor, " samples"]]:
        """The whole training set without augmentation: inputs and labels on the device."""


def balanced_rows(
    split: str, target: Integer[np.ndarray, " samples"], num: int | None
) -> Int64[np.ndarray, " rows"]:
    """Rows of the first `num` samples when classes are taken in turn, sorted; all for None.

    Args:
        split: `train` or `test`, for the error message.
        target: labels.
        num: number of rows to keep.

    Raises:
        ValueError: `num` is below one or above the size of the split.
    """
    if num is None:
        return np.arange(len(target))
    if not 1 <= num <= len(target):
        raise ValueError(
            f"data.num_{split} must lie in 1..{len(target)}, the size of the split, got {num}"
        )
    rank_in_class = np.empty(len(target), dtype=np.int64)
    for label in np.unique(target):
        rows = np.flatnonzero(target == label)
        rank_in_class[rows] = np.arange(len(rows))
    return np.sort(np.argsort(rank_in_class, kind="stable")[:num])
