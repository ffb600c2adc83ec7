"""How Lightning's batches become training steps of a pack."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64, Num
from lightning.pytorch import LightningModule
from torch import Tensor

from bvalign.data.loader import TrainBatch
from bvalign.ensemble.losses import Loss, training_loss
from bvalign.ensemble.optimization import Optimization
from bvalign.ensemble.pack import Pack
from bvalign.ensemble.steps import WholeSteps, rates_ahead
from bvalign.randomness import Streams


class Stepping(LightningModule):
    """The part of `Ensemble` that trains its pack.

    A batch holds one training step, on which Lightning steps the optimizer, or those of
    `steps_at_once`. If batches are `drawn`, it is the number of whole steps to make on the device.
    """

    members: tuple[int, ...]  # in training
    pack: Pack | None
    streams: Streams
    optimization: Optimization
    loss: Loss
    label_smoothing: float
    passes: int  # forward passes in training; their number names the masks of dropout
    start: tuple[int, int]  # epoch and batch that the next fit resumes from
    steps_at_once = 1  # training steps per batch, which holds the samples of all
    drawn = False
    whole_steps: WholeSteps | None = None  # of this fit, from its first drawn batch on

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint |= {"loss_sum": self.loss_sum, "passes": self.passes}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Resumes where the checkpoint was taken, also within an epoch."""
        self.loss_sum = checkpoint["loss_sum"].to(self.trainer.strategy.root_device)
        self.passes = checkpoint["passes"]
        progress = checkpoint["loops"]["fit_loop"]
        batches = progress["epoch_loop.batch_progress"]
        done = 0 if batches["is_last_batch"] else batches["current"]["ready"]
        self.start = (progress["epoch_progress"]["current"]["processed"], done)

    def on_train_epoch_start(self) -> None:
        if self.whole_steps is None:
            self.loss_sum = torch.zeros(len(self.members), device=self.device)
        else:
            self.loss_sum.zero_()  # where it is

    def teardown(self, stage: str) -> None:
        self.whole_steps = None  # Lightning moves the weights and clears what graphs use

    @property
    def automatic_optimization(self) -> bool:
        """True unless batches hold several steps: Lightning steps the optimizer once a batch."""
        return self.steps_at_once == 1 and not self.drawn

    def training_step(self, batch: TrainBatch | int, batch_idx: int) -> Float[Tensor, ""] | None:
        if self.drawn:
            return self._make_whole_steps(batch) if self.members else None
        input, target, _ = batch
        if self.steps_at_once == 1 or not self.members:
            return self._loss(input, target)
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        size = self.trainer.train_dataloader.batch_size
        for part in zip(input.split(size, dim=1), target.split(size, dim=1), strict=True):
            loss = self._loss(*part)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
        return None

    def train_loss(self) -> Float[Tensor, " members"]:
        """Mean training loss of the epoch that just ended."""
        return self.loss_sum / self._steps_per_epoch()

    def configure_optimizers(self) -> dict[str, object] | None:
        steps = self.trainer.estimated_stepping_batches  # a collective call: also without members
        if not self.automatic_optimization:  # Lightning counts batches
            steps = self._steps_per_epoch() * self.trainer.max_epochs
        if not self.members:
            return None
        optimizer = self.optimizer_of_all()
        scheduler = self.optimization.make_scheduler(optimizer, steps)
        if scheduler is None:
            return {"optimizer": optimizer}
        each_step = {"scheduler": scheduler, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": each_step}

    def _loss(
        self, input: Num[Tensor, "members batch ..."], target: Int64[Tensor, "members batch"]
    ) -> Float[Tensor, ""]:
        self.pack.seed = partial(
            self.streams.torch_seed, "dropout", epoch=self.passes, during=self.current_epoch
        )
        self.passes += 1
        loss = self.losses(self(input), target)
        self.loss_sum += loss.detach()
        return loss.sum()

    def losses(
        self,
        logits: Float[Tensor, "members batch classes"],
        target: Int64[Tensor, "members batch"],
    ) -> Float[Tensor, " members"]:
        """Mean training loss of each member over its batch."""
        loss = training_loss(logits, target, self.loss, label_smoothing=self.label_smoothing)
        return loss.mean(dim=1)

    def _make_whole_steps(self, number: int) -> None:
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        if self.whole_steps is None:
            batches = self.trainer.train_dataloader
            left = self._steps_per_epoch() * self.trainer.max_epochs - self.trainer.global_step
            (whole,) = self.trainer.optimizers
            rates = rates_ahead(whole, scheduler, left)
            self.whole_steps = WholeSteps(
                self.pack, batches, self.losses, whole, rates, self.loss_sum
            )
        self.whole_steps.make(number)
        self.passes += number
        for _ in range(number):  # what Lightning does around the steps of an optimizer, and after
            optimizer._on_before_step()
            optimizer._on_after_step()
            if scheduler is not None:
                scheduler.step()

    def _steps_per_epoch(self) -> int:
        if self.steps_at_once == 1:
            return self.trainer.num_training_batches
        return self.trainer.train_dataloader.num_steps
