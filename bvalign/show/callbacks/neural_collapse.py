"""A callback that follows neural collapse while members train."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from bvalign.analysis.collapse.neural_collapse import NeuralCollapse, neural_collapse
from bvalign.float64 import float64_device

KEYS = ("nc1", "nc2_norms", "nc2_cosines", "nc3", "nc4")


class NeuralCollapseMonitor(Callback):
    """Measures NC1 to NC4 of every member on the training set, without augmentation.

    Add it with `--trainer.callbacks+=bvalign.show.callbacks.NeuralCollapseMonitor`. Means over the
    members in training are logged as `collapse/nc1`, `nc2_norms`, `nc2_cosines` (of the class
    means), `nc3` and `nc4`; one row per member and epoch goes to `collapse.csv` in
    `--trainer.default_root_dir`. All are zero at full collapse.

    Args:
        every_n_epochs: epochs between measurements; first and last epoch are always measured.
    """

    def __init__(self, every_n_epochs: int = 10) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs must be at least 1, got {every_n_epochs}")
        self.every_n_epochs = every_n_epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs and epoch not in (1, trainer.max_epochs):
            return
        input, target = trainer.datamodule.train_inputs()
        rows = []
        for member in pl_module.members:
            features, weight, bias = pl_module.last_layer(member, input)
            device = float64_device(features.device)
            given = (value.to(device) for value in (features, target, weight, bias))
            rows.append(_measures(neural_collapse(*given)))
        mean = torch.tensor(rows, dtype=torch.float64).mean(dim=0).tolist()
        scalars = {f"collapse/{key}": value for key, value in zip(KEYS, mean, strict=True)}
        pl_module.log_dict(scalars, sync_dist=trainer.world_size > 1)
        self._append(Path(trainer.default_root_dir) / "collapse.csv", epoch, pl_module, rows)

    def _append(
        self, path: Path, epoch: int, pl_module: LightningModule, rows: list[tuple[float, ...]]
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        header = "" if path.exists() else ",".join(("member", "epoch", *KEYS)) + "\n"
        lines = [
            ",".join(map(str, (member, epoch, *row)))
            for member, row in zip(pl_module.members, rows, strict=True)
        ]
        with path.open("a") as file:
            file.write(header + "\n".join(lines) + "\n")


def _measures(collapse: NeuralCollapse) -> tuple[float, ...]:
    """Returns the measures in the order of `KEYS`."""
    means = collapse.class_means
    nc1, nc3 = collapse.within_over_between, collapse.self_duality
    return nc1, means.norm_variation, means.cosine_error, nc3, collapse.nearest_mean_disagreement
