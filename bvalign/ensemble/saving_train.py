"""The callback that saves finished members' logits on the training samples."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from bvalign.ensemble.split_logits import SplitLogits, writes
from bvalign.predictions import RunDirectory


class SaveTrainLogits(Callback):
    """Loads the weights of the module's members and saves what they predict.

    Lightning predicts the training samples once, in order and without augmentation; with the logits
    goes which of the samples each member was trained on.

    Args:
        run: the run directory, where the members are finished.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.logits: SplitLogits

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for member in pl_module.members:
            pl_module.pack.load(member, self.run.member(member).weights())
        self.logits = SplitLogits(pl_module, len(trainer.datamodule.arrays.train_target))

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], *_: Any
    ) -> None:
        self.logits.add(pl_module, outputs)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        logits = self.logits.whole(trainer, pl_module)
        if not writes(trainer):
            return
        num_samples = logits.shape[1]
        target = torch.from_numpy(trainer.datamodule.arrays.train_target)
        for row, member in zip(logits, pl_module.members, strict=True):
            seen = np.zeros(num_samples, dtype=bool)
            seen[pl_module.streams.samples(member, num_samples)] = True
            folder = self.run.member(member)
            folder.save_train(folder.kept(row, target), torch.from_numpy(seen))
