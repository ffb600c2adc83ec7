"""A callback that follows neural collapse while members train."""

from collections.abc import Mapping
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from bvalign.analysis.collapse.neural_collapse import NeuralCollapse, neural_collapse
from bvalign.float64 import float64_device
from bvalign.predictions.run.claims import one_at_a_time

KEYS = ("nc1", "nc2_norms", "nc2_cosines", "nc3", "nc4")
HEADER = ("member", "epoch", *KEYS)


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
        rows = self._rows(trainer, pl_module)
        # ranks have different numbers of members, perhaps none
        sums = [sum(column) for column in zip(*rows.values(), strict=True)] or [0.0] * len(KEYS)
        total = torch.tensor([*sums, len(rows)], device=pl_module.device)
        *sums, count = trainer.strategy.reduce(total, reduce_op="sum").tolist()
        if count:
            means = [value / count for value in sums]
            scalars = {f"collapse/{key}": mean for key, mean in zip(KEYS, means, strict=True)}
            pl_module.log_dict(scalars, sync_dist=trainer.world_size > 1)
        if rows and (trainer.datamodule.shard.world == 1 or trainer.is_global_zero):
            _record(Path(trainer.default_root_dir), epoch, rows)

    def _rows(self, trainer: Trainer, pl_module: LightningModule) -> dict[int, tuple[float, ...]]:
        """The measures of each member of this rank, without those that have diverged."""
        members = pl_module.sound_members()
        if not members:
            return {}
        input, target = trainer.datamodule.train_inputs()
        input = trainer.precision_plugin.convert_input(input)
        rows = {}
        for member in members:
            features, weight, bias = layer = pl_module.last_layer(member, input)
            if not all(value.isfinite().all() for value in layer):
                continue  # it diverges in this epoch, which `SaveMembers` says
            device = float64_device(features.device)
            given = (value.to(device) for value in (features, target, weight, bias))
            rows[member] = _measures(neural_collapse(*given))
        return rows


def _record(root: Path, epoch: int, rows: Mapping[int, tuple[float, ...]]) -> None:
    """Adds rows to the file of all ranks and workers, in place of those of a resumed training."""
    path = root / "collapse.csv"
    with one_at_a_time(root) as fence:
        lines = path.read_text().splitlines() if path.exists() else [",".join(HEADER)]
        lines += [",".join(map(str, (member, epoch, *row))) for member, row in rows.items()]
        kept = {tuple(line.split(",")[:2]): line for line in lines}
        fence.write(path, "\n".join([*kept.values(), ""]).encode())


def _measures(collapse: NeuralCollapse) -> tuple[float, ...]:
    """Returns the measures in the order of `KEYS`."""
    means = collapse.class_means
    nc1, nc3 = collapse.within_over_between, collapse.self_duality
    return nc1, means.norm_variation, means.cosine_error, nc3, collapse.nearest_mean_disagreement
