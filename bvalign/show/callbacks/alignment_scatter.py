"""A callback that follows the alignment while members train."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from bvalign.analysis.decompositions import Decomposition, columns_of
from bvalign.analysis.decompositions.metrics import BiasVariance
from bvalign.float64 import float64_device
from bvalign.predictions import RunDirectory
from bvalign.show.callbacks.alignment_log import (
    alignment_scalars,
    log_scatter,
    tell,
    why_incomplete,
)
from bvalign.show.loggers import log_samples

KEYS = ("member", "index", "target", "logits")
"""What the steps of a module return."""


class AlignmentScatter(Callback):
    """Accumulates per-sample bias and variance over members and logs the alignment scatter.

    Each validation epoch stands alone and covers the members in training on all ranks. Testing
    accumulates members over packs, starting from those that the run has finished. Steps must return
    a dict of member, index, target and logits, and the datamodule must have `num_test_samples` and
    `num_classes`, as those of bvalign do; `CollectLogits` asks nothing of a module of your own.
    Where a stage does not see all samples (a sanity check, `fast_dev_run`, `limit_test_batches`),
    nothing is logged, and one line says why.

    | logged key | meaning |
    | --- | --- |
    | `val/accuracy`, `test/accuracy` | fraction of samples that the mean prediction gets right |
    | `val/bias_sq`, `val/variance`, `val/risk`, `test/...` | means over samples, plug-in |
    | `val/alignment/slope`, `intercept`, `r_squared`, `test/...` | OLS, correct samples, plug-in |
    | `val/alignment`, `test/alignment` | the scatter, from two members on: a W&B image, or a
      TensorBoard figure |
    | `test/samples` | a W&B table, one row per test sample; with a run, `WandbRun` logs it |

    Args:
        run: its finished members are included in the first test; none by default.
        max_rows: rows of the W&B table; a larger test set is subsampled at random (seed 0).
    """

    def __init__(self, run: RunDirectory | None = None, max_rows: int = 10_000) -> None:
        self.run, self.max_rows = run, max_rows
        self.metrics: dict[str, BiasVariance] = {}
        self.complete = True  # whether this stage covers all samples
        self._told: set[str] = set()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._sees_all(trainer, "validate"):
            if "val" in self.metrics:
                self.metrics["val"].reset()  # a metric refers to itself: a new one adds to memory
            else:
                self.metrics["val"] = _new_metric(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._sees_all(trainer, "test") and "test" not in self.metrics:
            self.metrics["test"] = _new_metric(trainer)
            if self.run is not None and trainer.is_global_zero:
                self._include_finished()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], *_: Any
    ) -> None:
        if self.complete:
            self._update("val", outputs)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], *_: Any
    ) -> None:
        if self.complete:
            self._update("test", outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.complete:
            self._log("val", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.complete:
            return
        values = self._log("test", trainer, pl_module)
        loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        if self.run is None and loggers:
            columns = _columns(self.metrics["test"], values)
            if trainer.is_global_zero:
                self._log_samples(loggers, columns, trainer.datamodule)

    def _sees_all(self, trainer: Trainer, stage: str) -> bool:
        """Finds out whether the stage covers all samples; says why it does not, once."""
        why = why_incomplete(trainer, stage)
        if why and why not in self._told:
            tell(self, why, trainer)
            self._told.add(why)
        self.complete = why is None
        return self.complete

    def _log_samples(
        self, loggers: Sequence[WandbLogger], columns: dict[str, Tensor], data: Any
    ) -> None:
        arrays, shown = {name: column.cpu().numpy() for name, column in columns.items()}, ()
        if hasattr(data, "samples"):
            samples = data.samples()
            names = np.array(samples.class_names, dtype=object)
            arrays |= {key: names[arrays[key]] for key in ("label", "prediction")}
            shown = (samples.images, samples.texts)
        for logger in loggers:
            log_samples(logger, arrays, *shown, max_rows=self.max_rows)

    def _update(self, stage: str, outputs: dict[str, Tensor]) -> None:
        if not isinstance(outputs, dict) or not set(KEYS) <= outputs.keys():
            got = list(outputs) if isinstance(outputs, dict) else type(outputs).__name__
            raise ValueError(
                "AlignmentScatter needs steps that return a dict of member, index, target and "
                f"logits, got {got}; for a module of your own use bvalign.CollectLogits"
            )
        self.metrics[stage].update(**{key: outputs[key] for key in KEYS})

    def _include_finished(self) -> None:
        if not self.run.finished()[0]:
            return
        predictions, metric, start = self.run.predictions(), self.metrics["test"], 0
        for logits, target in predictions.ranges():
            index = torch.arange(start, start + len(target))
            metric.update(logits, target, index, torch.tensor(predictions.members))
            start += len(target)

    def _log(self, stage: str, trainer: Trainer, pl_module: LightningModule) -> Decomposition:
        """Computes on every rank, which is a collective call; plots on rank zero."""
        metric = self.metrics[stage]
        values = metric.compute()
        scalars, line = alignment_scalars(values)
        pl_module.log_dict(
            {f"{stage}/{key}": value for key, value in scalars.items()},
            sync_dist=trainer.world_size > 1,
        )
        # Lightning would count batches, and a batch may hold several optimizer steps
        step = {"step": trainer.global_step - 1.0, "epoch": float(trainer.current_epoch)}
        pl_module.log_dict(step, rank_zero_only=True)
        if trainer.is_global_zero:
            # Lightning logs scalars of an epoch at the last step of that epoch, not at the next one
            step, key = max(trainer.global_step - 1, 0), f"{stage}/alignment"
            log_scatter(key, values, line, metric.num_classes, trainer.loggers, step)
        return values


def _new_metric(trainer: Trainer) -> BiasVariance:
    data = trainer.datamodule
    if not hasattr(data, "num_test_samples") or not hasattr(data, "num_classes"):
        raise ValueError(
            "AlignmentScatter needs a datamodule with num_test_samples and num_classes, got "
            f"{type(data).__name__}; for a module of your own use bvalign.CollectLogits"
        )
    with float64_device(trainer.strategy.root_device):  # its states are megabytes
        return BiasVariance(data.num_test_samples, data.num_classes, dist_sync_fn=_gathered)


def _columns(metric: BiasVariance, values: Decomposition) -> dict[str, Tensor]:
    """The columns of `test/samples`, on every rank: a collective call."""
    with metric.sync_context(dist_sync_fn=_gathered):
        summed, target = metric.prob_sum, metric.target
        if summed.ndim == 3:  # synchronised: one for each rank
            summed, target = summed.sum(dim=0), target.amax(dim=0)
        columns = {"index": torch.arange(len(target)), "label": target}
        columns["prediction"] = summed.argmax(dim=-1)
    shown = {k: c.values for k, c in columns_of(values).items() if c.unit.shown}
    return columns | shown


def _gathered(value: Tensor, group: Any = None) -> list[Tensor]:
    """A state of each rank; by way of the host under gloo, which does not know every device."""
    if torch.distributed.get_backend(group) != "gloo":
        return gather_all_tensors(value, group)
    return [state.to(value.device) for state in gather_all_tensors(value.cpu(), group)]
