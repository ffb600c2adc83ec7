"""Lightning callbacks: watch the alignment while members train, and keep finished members."""

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from torch import Tensor

from bvalign.analysis.lines import cloud
from bvalign.analysis.metric import BiasVariance
from bvalign.analysis.statistics import Decomposition
from bvalign.predictions import FinishedMember, RunDirectory
from bvalign.show.scatter import Panel, alignment_scatter


class AlignmentScatter(Callback):
    """Accumulates per-sample bias and variance over members and logs the alignment scatter.

    A validation epoch is judged on its own, over the members in training on all ranks. In testing,
    members add up over packs, after those that the run has finished before. Step outputs must be a
    dict of member, index, target and logits, and the datamodule must know `num_test_samples` and
    `num_classes`, as those of bvalign do.

    | logged key | meaning |
    | --- | --- |
    | `val/accuracy`, `test/accuracy` | share of samples that the mean of the members gets right |
    | `val/bias_sq`, `val/variance`, `val/risk`, `test/...` | means over samples, plug-in |
    | `val/alignment/slope`, `intercept`, `r_squared`, `test/...` | OLS, correct samples, plug-in |
    | `val/alignment`, `test/alignment` | the scatter: a W&B image, a TensorBoard figure |
    | `test/samples` | a W&B table, one row per test sample, once all members are in |

    Args:
        run: its finished members are counted before the first test; none by default.
        max_rows: rows of the table; of a larger test set a random part is shown (seed 0).
    """

    def __init__(self, run: RunDirectory | None = None, max_rows: int = 10_000) -> None:
        self.run, self.max_rows = run, max_rows
        self.metrics: dict[str, BiasVariance] = {}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.metrics["val"] = _new_metric(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if "test" not in self.metrics:
            self.metrics["test"] = _new_metric(trainer)
            if self.run is not None and trainer.is_global_zero:
                self._count_finished()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], *_: Any
    ) -> None:
        self.metrics["val"].update(**outputs)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], *_: Any
    ) -> None:
        self.metrics["test"].update(**outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._log("val", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        values = self._log("test", trainer, pl_module)
        complete = self.run is None or int(values.count[0]) == self.run.num_members
        if complete and trainer.is_global_zero:
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    columns, rows = _table(values, self.metrics["test"].target, self.max_rows)
                    logger.log_table("test/samples", columns=columns, data=rows)

    def _count_finished(self) -> None:
        if not self.run.finished()[0]:
            return
        predictions, metric, start = self.run.predictions(), self.metrics["test"], 0
        for logits, target in predictions.blocks():
            index = torch.arange(start, start + len(target))
            block = (tensor.to(metric.device) for tensor in (logits, target, index))
            metric.update(*block, member=torch.tensor(predictions.members))
            start += len(target)

    def _log(self, stage: str, trainer: Trainer, pl_module: LightningModule) -> Decomposition:
        """Computes on every rank, as that is a collective; draws on rank zero."""
        metric = self.metrics[stage]
        values = metric.compute()
        usable = values.correct & (values.variance > 0) & (values.bias_sq > 0)
        x, y = (v[usable].log() for v in (values.bias_sq, values.variance))
        moments = cloud(x, y, torch.ones_like(x).unsqueeze(0))
        fit = {key: float(v) for key, v in moments.line(moments.least_squares()).items()}
        scalars = {name: getattr(values, name).mean() for name in ("bias_sq", "variance", "risk")}
        scalars |= {"accuracy": values.correct.double().mean()}
        scalars |= {f"alignment/{key}": v for key, v in fit.items() if np.isfinite(v)}
        pl_module.log_dict(
            {f"{stage}/{key}": float(v) for key, v in scalars.items()},
            sync_dist=trainer.world_size > 1,
        )
        if trainer.is_global_zero:
            line = (fit["slope"], fit["intercept"]) if np.isfinite(fit["slope"]) else None
            _log_figure(f"{stage}/alignment", values, line, metric.num_classes, trainer)
        return values


class SaveMembers(Callback):
    """Writes every member of a pack to the run directory once its pack is tested.

    Args:
        run: where to.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.history: dict[int, list[dict[str, object]]] = defaultdict(list)
        self.logits: Tensor

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for member, loss in zip(pl_module.members, pl_module.train_loss().tolist(), strict=True):
            row = {"epoch": trainer.current_epoch + 1, "train_loss": loss}
            self.history[member].append(row)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = trainer.datamodule
        shape = (len(pl_module.members), data.num_test_samples, data.num_classes)
        self.logits = torch.full(shape, torch.nan)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], *_: Any
    ) -> None:
        self.logits[:, outputs["index"].cpu()] = outputs["logits"].cpu()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for row, member in enumerate(pl_module.members):
            weights = pl_module.pack.weights(member)
            history = self.history.pop(member, [])
            self.run.member(member).save(FinishedMember(self.logits[row], weights, history))


def _new_metric(trainer: Trainer) -> BiasVariance:
    data = trainer.datamodule
    return BiasVariance(data.num_test_samples, data.num_classes).to(trainer.strategy.root_device)


def _log_figure(
    key: str,
    values: Decomposition,
    line: tuple[float, float] | None,
    num_classes: int,
    trainer: Trainer,
) -> None:
    # Lightning logs the scalars of an epoch at the last step of that epoch, not at the next one
    step = max(trainer.global_step - 1, 0)
    able = [one for one in trainer.loggers if isinstance(one, WandbLogger | TensorBoardLogger)]
    if not able:
        return
    bias_sq, variance, correct = (
        v.cpu().numpy() for v in (values.bias_sq, values.variance, values.correct)
    )
    size = {"num_members": int(values.count[0]), "num_classes": num_classes}
    figure = alignment_scatter([Panel("plug-in", bias_sq, variance, line)], correct, **size)
    for logger in able:
        if isinstance(logger, WandbLogger):
            logger.log_image(key, images=[_pixels(figure)], step=step)
        else:
            logger.experiment.add_figure(key, figure, global_step=step)


def _pixels(figure: Any) -> np.ndarray:
    """RGB (height, width, 3) uint8 of a figure, without pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _table(
    values: Decomposition, target: Tensor, max_rows: int
) -> tuple[list[str], list[list[float]]]:
    rows = np.arange(len(target))
    if len(rows) > max_rows:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:max_rows])
    columns = {"index": torch.arange(len(target)), "label": target} | values._asdict()
    picked = [column.cpu().numpy()[rows].tolist() for column in columns.values()]
    return list(columns), [list(row) for row in zip(*picked, strict=True)]
