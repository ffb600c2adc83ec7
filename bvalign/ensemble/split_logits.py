"""The logits of members in training on a whole split, put together from its batches."""

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor


class SplitLogits:
    """Logits on the host, of members that have not diverged; zeros of the others.

    Args:
        module: holds the members.
        num_samples: of the split.
    """

    def __init__(self, module: LightningModule, num_samples: int) -> None:
        self.values = torch.zeros(len(module.members), num_samples, module.num_classes)

    def add(self, module: LightningModule, outputs: dict[str, Tensor]) -> None:
        """Adds the logits of a batch, as `Ensemble.test_step` gives them."""
        rows = torch.tensor(sound_rows(module), dtype=torch.int64).unsqueeze(1)
        self.values[rows, outputs["index"].cpu()] = outputs["logits"].cpu()

    def whole(
        self, trainer: Trainer, module: LightningModule
    ) -> Float[Tensor, "members samples classes"]:
        """All logits; under ddp a rank has those of its own samples, and zeros."""
        if trainer.datamodule.shard.world > 1:
            for row, logits in enumerate(self.values):
                summed = trainer.strategy.reduce(logits.to(module.device), reduce_op="sum")
                self.values[row] = summed.cpu()
        return self.values


def sound_rows(module: LightningModule) -> list[int]:
    """Rows of the members that have not diverged among those in training."""
    return [module.members.index(member) for member in module.sound_members()]


def writes(trainer: Trainer) -> bool:
    """Returns whether this rank writes members: each its own, or rank zero those of all."""
    return trainer.datamodule.shard.world == 1 or trainer.is_global_zero
