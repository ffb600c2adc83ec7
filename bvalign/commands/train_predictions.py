"""Predictions of finished members on the training samples: `--predictions.train=true`."""

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import Strategy

from bvalign.commands.waves import assign_members, seats
from bvalign.data import EnsembleDataModule
from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.ranks import on_rank_zero
from bvalign.ensemble.saving_train import SaveTrainLogits
from bvalign.predictions import RunDirectory
from bvalign.predictions.run.identity import difference, flatten
from bvalign.show.callbacks import MembersProgress
from bvalign.top_k import LEAST_KEPT


@dataclass(frozen=True)
class StoredPredictions:
    """What is stored of the predictions of finished members.

    Args:
        train: also their logits on the training samples, without augmentation, and which of these
            each member was trained on; finished members get them from their weights. Then
            `bvalign analyze RUN --split train` judges each sample by members that have not seen it.
        top_k: of how many classes each member keeps the logits of a sample, the largest and that of
            the label, with the log-sum-exp of the others; by default of all. A run has one form.
    """

    train: bool = False
    top_k: int | None = None

    def identity(self, num_classes: int) -> dict[str, dict[str, int]]:
        """The part of a run's identity; empty where all logits are stored.

        Raises:
            ValueError: so few or many logits cannot be kept.
        """
        if self.top_k is None:
            return {}
        if not LEAST_KEPT <= self.top_k < num_classes:
            raise ValueError(
                f"--predictions.top_k must be from {LEAST_KEPT} to {num_classes - 1}, fewer than "
                f"the {num_classes} classes, got {self.top_k}; leave it out to store all logits"
            )
        return {"predictions": {"top_k": self.top_k}}

    def store(
        self,
        run: RunDirectory,
        module: Ensemble,
        datamodule: EnsembleDataModule,
        make_trainer: Callable[..., Trainer],
        strategy: Strategy,
    ) -> None:
        """Predicts the training samples with the finished members that have not, if asked for.

        Args:
            run: the run directory; rank zero claims packs for all ranks.
            module: is assigned members.
            datamodule: their data, after `setup`.
            make_trainer: makes a Trainer with these callbacks and further arguments.
            strategy: of the started ranks.

        Raises:
            ValueError: the run is one of other data or another model, or weights are damaged.
        """
        if not self.train:
            return
        kept = self.identity(module.num_classes)
        on_rank_zero(strategy, lambda: _begin(run, module, datamodule, kept))
        while True:
            claim = run.claim(seats(strategy), predict=True) if strategy.is_global_zero else None
            with claim or nullcontext() as work:
                work = strategy.broadcast(work)
                if not work.packs:
                    break
                assign_members(run, module, strategy, work)
                callbacks = [SaveTrainLogits(run), MembersProgress(run.num_members)]  # no other bar
                trainer = make_trainer(callbacks, limit_predict_batches=1.0)
                trainer.predict(module, datamodule=datamodule, return_predictions=False)
                strategy.barrier()
        if strategy.is_global_zero:
            stored = sum(run.member(member).has_train() for member in range(run.num_members))
            print(
                f"{run.root}: predictions of {stored} members on the training samples are stored; "
                f"`bvalign analyze {run.root} --split train --out FOLDER` analyses them",
                file=sys.stderr,
            )


def _begin(
    run: RunDirectory,
    module: Ensemble,
    datamodule: EnsembleDataModule,
    kept: Mapping[str, object],
) -> None:
    here = flatten({"data": datamodule.identity(), "model": module.identity(), **kept})
    there = {key: value for key, value in run.identity.items() if not key.startswith("trainer.")}
    if differ := difference(there, here):
        raise ValueError(f"{run.root} contains a run with another identity ({differ})")
    run.save_samples(datamodule.samples("train"), "train")
