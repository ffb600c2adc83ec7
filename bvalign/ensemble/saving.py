"""The callback that saves each member's learning curve, weights and logits."""

import math
import sys
from collections import defaultdict
from typing import Any

import torch
from jaxtyping import Bool, Float
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from bvalign.ensemble.epoch_batches import batches_per_epoch
from bvalign.ensemble.split_logits import SplitLogits, sound_rows, writes
from bvalign.predictions import FinishedMember, RunDirectory

CHECKED_ROWS = 1024
"""Samples whose logits are checked at a time."""


class SaveMembers(Callback):
    """Writes every member of a pack to the run directory once its pack is tested.

    A member with a non-finite loss or logits has diverged: this is noted there and on standard
    error, and the member is left out of everything that follows.

    A member that has made fewer optimizer steps than its epochs have is never saved as finished,
    whatever has ended or cut its training.

    | logged key | meaning |
    | --- | --- |
    | `train/loss` | training loss of the epoch, mean over the members in training on all ranks |

    Args:
        run: the run directory.
        asked: the Trainer as the user has configured it; a callback may change that of a wave.
    """

    def __init__(self, run: RunDirectory, asked: Trainer) -> None:
        self.run, self.asked, self.epochs = run, asked, asked.max_epochs
        self.history: dict[int, list[dict[str, object]]] = defaultdict(list)
        self.logits: SplitLogits
        self.hits: Float[Tensor, " members+1"] | None = None  # correct validation samples, and all

    def state_dict(self) -> dict[str, Any]:
        return {"history": dict(self.history)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = defaultdict(list, state_dict["history"])

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and self.asked.max_epochs is None:
            self.epochs = trainer.max_epochs  # Lightning settles it when a fit starts

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.hits = torch.zeros(len(pl_module.members) + 1, device=pl_module.device)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], *_: Any
    ) -> None:
        hits = (outputs["logits"].argmax(dim=-1) == outputs["target"]).sum(dim=1)
        self.hits[sound_rows(pl_module)] += hits
        self.hits[-1] += len(outputs["target"])

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.hits = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Runs after the validation of the epoch, if there is one."""
        epoch = trainer.current_epoch + 1
        self._refuse_short(trainer, pl_module, epoch)
        loss = _over_samples(trainer, pl_module.train_loss(), "mean")
        accuracy: list[object] = [""] * len(loss)
        if self.hits is not None:
            *hits, seen = _over_samples(trainer, self.hits, "sum").tolist()
            accuracy, self.hits = [hit / seen for hit in hits], None
        for member, value, hit in zip(pl_module.members, loss.tolist(), accuracy, strict=True):
            row = {"epoch": epoch, "train_loss": value, "val_accuracy": hit}
            self.history[member].append(row)
        self._leave_out(trainer, pl_module, ~loss.isfinite(), epoch, "training loss")
        sound = loss[sound_rows(pl_module)]
        total = torch.stack([sound.sum(), torch.ones_like(sound).sum()])
        mean, count = trainer.strategy.reduce(total, reduce_op="sum").tolist()
        if count:
            pl_module.log("train/loss", mean / count, sync_dist=trainer.world_size > 1)
            # Lightning counts batches, and a batch may hold several optimizer steps
            step = {"step": trainer.global_step - 1.0, "epoch": float(trainer.current_epoch)}
            pl_module.log_dict(step, rank_zero_only=True)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._refuse_short(trainer, pl_module, self.epochs)
        self.logits = SplitLogits(pl_module, trainer.datamodule.num_test_samples)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], *_: Any
    ) -> None:
        self.logits.add(pl_module, outputs)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the members."""
        logits = self.logits.whole(trainer, pl_module)
        target = torch.from_numpy(trainer.datamodule.arrays.test_target)
        failed = torch.tensor([not _all_finite(row) for row in logits])
        self._leave_out(trainer, pl_module, failed, trainer.max_epochs or 0, "logits")
        for row, member in enumerate(pl_module.members):
            history = self.history.pop(member, [])
            if member not in pl_module.diverged and writes(trainer):
                weights = pl_module.pack.network_weights(member)
                folder = self.run.member(member)
                kept = folder.kept(logits[row], target)
                folder.save(FinishedMember(kept, weights, history))

    def _refuse_short(self, trainer: Trainer, module: LightningModule, epochs: int) -> None:
        """Refuses members with fewer steps than `epochs` have; raised before anything is saved.

        Raises:
            ValueError: a callback has ended training or cut an epoch short.
        """
        batches = batches_per_epoch(
            self.asked.limit_train_batches, trainer.datamodule.steps_per_epoch(module.streams)
        )
        each = math.ceil(batches / self.asked.accumulate_grad_batches)
        steps = math.inf if epochs == -1 else epochs * each
        steps = min(steps, self.asked.max_steps) if self.asked.max_steps != -1 else steps
        if module.members and trainer.global_step < steps:
            raise ValueError(
                f"members {', '.join(map(str, module.members))} have made {trainer.global_step} of "
                f"{steps} training steps of {epochs} epochs and are not saved as finished: "
                f"{suspects(trainer)} has cut training short; the same command continues without it"
            )

    def _leave_out(
        self,
        trainer: Trainer,
        module: LightningModule,
        failed: Bool[Tensor, " members"],
        epoch: int,
        what: str,
    ) -> None:
        """Marks members that have just diverged.

        Raises:
            ValueError: a member has diverged and `on_diverged` is `stop`.
        """
        new = [m for m, bad in zip(module.members, failed.tolist(), strict=True) if bad]
        for member in sorted(set(new) - module.diverged):
            module.diverged.add(member)
            told = f"member {member} diverged in epoch {epoch}: non-finite {what}"
            if module.on_diverged == "stop":
                raise ValueError(
                    f"{told}; lower --model.lr, or continue without it: --model.on_diverged=drop"
                )
            if writes(trainer):
                self.run.member(member).mark_diverged(epoch)
                print(f"{told}; the others continue", file=sys.stderr)


def suspects(trainer: Trainer) -> str:
    """Names the callbacks that are neither ours nor Lightning's, which may end training."""
    names = [
        type(callback).__name__
        for callback in trainer.callbacks
        if type(callback).__module__.split(".")[0] not in ("bvalign", "lightning")
    ]
    return f"a callback ({', '.join(names)})" if names else "a callback or trainer.should_stop"


def _all_finite(logits: Float[Tensor, "samples classes"]) -> bool:
    """Checks part by part: masks of all logits would take as much memory as they do."""
    return all(bool(part.isfinite().all()) for part in logits.split(CHECKED_ROWS))


def _over_samples(
    trainer: Trainer, value: Float[Tensor, "*shape"], op: str
) -> Float[Tensor, "*shape"]:
    """Reduces the values of ranks that split the samples; without such ranks, no change."""
    if trainer.datamodule.shard.world == 1:
        return value
    return trainer.strategy.reduce(value, reduce_op=op)
