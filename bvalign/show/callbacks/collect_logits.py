"""A callback that keeps the logits of any LightningModule, one file per member."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64, Num
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import save
from torch import Tensor

from bvalign.analysis.decompositions.metrics import BiasVariance
from bvalign.atomic import write_atomic
from bvalign.predictions import open_predictions
from bvalign.show.callbacks.alignment_log import (
    alignment_scalars,
    log_scatter,
    tell,
    why_incomplete,
)
from bvalign.show.callbacks.sample_ids import sample_ids

LOADERS = {
    "test": "test_dataloaders",
    "validate": "val_dataloaders",
    "predict": "predict_dataloaders",
}


class Part(NamedTuple):
    """Logits of some samples, on the CPU."""

    index: Int64[Tensor, " batch"]
    logits: Float[Tensor, "batch classes"]
    target: Num[Tensor, "batch ..."] | None


class CollectLogits(Callback):
    """Keeps the logits of each member, and logs how bias and variance align over all kept so far.

    For an ensemble of your own: the same training once for each seed. Each `trainer.test` writes
    one file to the folder, which `bvalign analyze FOLDER` reads; members may be trained by several
    processes. Nothing is asked of the module. With several devices, samples that the sampler
    repeats are kept once. Under `fast_dev_run`, `limit_test_batches` and the like, and of logits
    with NaN or inf, nothing is kept, and one line says so. Logits are as exact as your step: on an
    NVIDIA GPU, PyTorch rounds the input of convolutions to TF32, unless `trainer.test` is called
    `with ieee_float32()` (of `bvalign.float32`).

    | logged key | meaning |
    | --- | --- |
    | `ensemble/members` | members in the folder |
    | `ensemble/accuracy` | fraction of samples that the mean prediction gets right |
    | `ensemble/bias_sq`, `ensemble/variance`, `ensemble/risk` | means over samples, plug-in |
    | `ensemble/alignment/slope`, `intercept`, `r_squared` | OLS, correct samples, plug-in |
    | `ensemble/alignment` | the scatter, from two members on: a W&B or TensorBoard figure |

    `metric` is the `BiasVariance` of all members in the folder, on every rank; None before the
    first, and without labels.

    Args:
        folder: of the members, `SEED.safetensors` each with logits, labels and index.
        scores: (module, batch) -> (logits, target), optionally with sample ids as a third value;
            logits (batch, classes). By default what the step returns: such a tuple, or a dict of
            logits and target, optionally with index. To predict, logits alone will do.
        member: id of the member; by default the seed of `seed_everything`.
        stage: the trainer's method whose logits are kept: test, validate or predict.

    Raises:
        ValueError: the member is kept already, before its training starts; or what the step or the
            function returns does not fit.
    """

    def __init__(
        self,
        folder: Path | str,
        scores: Callable[[LightningModule, Any], Any] | None = None,
        *,
        member: int | None = None,
        stage: str = "test",
    ) -> None:
        if stage not in LOADERS:
            raise ValueError(f"stage must be one of {', '.join(LOADERS)}, got {stage}")
        self.folder, self.scores, self.member, self.stage = Path(folder), scores, member, stage
        self.metric: BiasVariance | None = None
        self._parts: list[Part] = []
        self._ids: Iterator[int] | None = None
        self._keeps = True  # whether the stage covers all samples

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses a member that is kept already."""
        self._parts, self._ids = [], None
        why = why_incomplete(trainer, stage) if stage == self.stage else None
        self._keeps = why is None
        if why:
            tell(self, why, trainer)
        if stage in ("fit", self.stage) and not trainer.fast_dev_run and self._path().exists():
            raise ValueError(
                f"{self._path()} is there already; members are named by seed_everything(seed) or "
                "member=: take another one, or another folder, or delete the file"
            )

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn != self.stage or not self._keeps:
            return
        if dataloader_idx:
            raise ValueError(f"CollectLogits keeps one {self.stage} set, got a second loader")
        found = outputs if self.scores is None else self.scores(pl_module, batch)
        if isinstance(found, dict):
            found = tuple(found.get(key) for key in ("logits", "target", "index"))
        found = (found,) if isinstance(found, Tensor) else found
        if not isinstance(found, tuple | list) or not 1 <= len(found) <= 3:
            found = (None,)
        logits, target, index = (*found, None, None)[:3]
        if index is None and isinstance(logits, Tensor):
            index = self._positions(trainer, len(logits))
        self._parts.append(self._part(logits, target, index))

    on_validation_batch_end = on_predict_batch_end = on_test_batch_end

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != self.stage or not self._keeps:
            return
        parts, self._parts = _of_all_ranks(self._parts, trainer.world_size), []
        if trainer.is_global_zero:
            kept = _once(parts, trainer.world_size)
            if self._save(kept) and kept.target is not None:
                self._log(trainer)
        self.metric = trainer.strategy.broadcast(self.metric)

    on_validation_epoch_end = on_predict_epoch_end = on_test_epoch_end

    def _path(self) -> Path:
        seed = os.environ.get("PL_GLOBAL_SEED") if self.member is None else self.member
        if seed is None:
            raise ValueError(
                "CollectLogits names members by their seeds: call seed_everything(seed) before "
                "each, or give it member="
            )
        return self.folder / f"{int(seed)}.safetensors"

    def _positions(self, trainer: Trainer, size: int) -> Int64[Tensor, " batch"]:
        if self._ids is None:
            loader = getattr(trainer, LOADERS[self.stage])
            loader = loader[0] if isinstance(loader, list | tuple) else loader
            self._ids = iter(sample_ids(loader, trainer.world_size))
        ids = [i for _, i in zip(range(size), self._ids, strict=False)]
        return torch.tensor(ids, dtype=torch.int64)

    def _part(self, logits: object, target: object, index: object) -> Part:
        given = [target, index] if target is not None or self.stage != "predict" else [index]
        fits = isinstance(logits, Tensor) and logits.ndim == 2
        if not fits or not all(isinstance(v, Tensor) and len(v) == len(logits) for v in given):
            source = f"{self.stage}_step" if self.scores is None else "the function"
            got = ", ".join(
                str(tuple(v.shape)) if isinstance(v, Tensor) else type(v).__name__
                for v in (logits, *given)
            )
            raise ValueError(
                "CollectLogits needs tensors: logits (batch, classes), target (batch) and perhaps "
                f"sample ids (batch), but {source} gave {got}; give it a function (module, batch) "
                "-> (logits, target)"
            )
        logits, *given = (value.detach().cpu().clone() for value in (logits, *given))
        given = [v.squeeze(1) if v.ndim == 2 and v.shape[1] == 1 else v for v in given]
        target = given[0] if len(given) == 2 else None
        return Part(given[-1].long(), logits, target)

    def _save(self, kept: Part) -> bool:
        """Writes the file of the member unless it has diverged."""
        lost = int((~kept.logits.amax(dim=1).isfinite()).sum())
        path = self._path()
        if lost:
            print(
                f"{path} is not written: logits are NaN or inf for {lost} of {len(kept.logits)} "
                "samples",
                file=sys.stderr,
            )
            return False
        tensors = {"index": kept.index, "logits": kept.logits, "labels": kept.target}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, save({k: v.contiguous() for k, v in tensors.items() if v is not None}))
        return True

    def _log(self, trainer: Trainer) -> None:
        """Logs all members in the folder, from rank zero."""
        predictions, start = open_predictions(self.folder)[0], 0
        metric = BiasVariance(
            predictions.num_samples, predictions.num_classes, sync_on_compute=False
        )
        for logits, target in predictions.ranges():
            metric.update(logits, target, torch.arange(start, start + len(target)))
            start += len(target)
        self.metric, values = metric, metric.compute()
        scalars, line = alignment_scalars(values)
        scalars = {f"ensemble/{key}": value for key, value in scalars.items()}
        scalars["ensemble/members"] = len(predictions.members)
        for logger in trainer.loggers:
            logger.log_metrics(scalars, step=trainer.global_step)
        key, classes = "ensemble/alignment", predictions.num_classes
        log_scatter(key, values, line, classes, trainer.loggers, trainer.global_step)


def _of_all_ranks(parts: list[Part], world_size: int) -> list[Part]:
    if world_size == 1:
        return parts
    gathered: list[list[Part]] = [[]] * world_size
    torch.distributed.all_gather_object(gathered, parts)
    return [part for rank in gathered for part in rank]


def _once(parts: list[Part], world_size: int) -> Part:
    """All samples in ascending order, each once; what a distributed sampler repeats is left out."""
    index, order = torch.cat([part.index for part in parts]).sort(stable=True)
    again = index.diff(prepend=index[:1] - 1) == 0
    # a sampler repeats less than one sample for each rank
    if again.sum() >= world_size:
        raise ValueError(
            f"sample {int(index[again][0])} came twice, as did {int(again.sum()) - 1} others; each "
            "rank must give samples of its own, and their ids must differ"
        )
    rows = order[~again]
    logits = torch.cat([part.logits for part in parts])[rows]
    targets = [part.target for part in parts]
    return Part(index[~again], logits, None if targets[0] is None else torch.cat(targets)[rows])
