"""Predictions of finished members on the training samples: `--predictions.train=true`."""

import sys
from collections.abc import Callable
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


@dataclass(frozen=True)
class StoredPredictions:
    """What is stored of finished members besides their logits on the test samples.

    Args:
        train: also their logits on the training samples, without augmentation, and which of these
            each member was trained on; finished members get them from their weights. Then
            `bvalign analyze RUN --split train` judges each sample by members that have not seen it.
    """

    train: bool = False

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
        on_rank_zero(strategy, lambda: _begin(run, module, datamodule))
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


def _begin(run: RunDirectory, module: Ensemble, datamodule: EnsembleDataModule) -> None:
    here = flatten({"data": datamodule.identity(), "model": module.identity()})
    there = {key: value for key, value in run.identity.items() if not key.startswith("trainer.")}
    if differ := difference(there, here):
        raise ValueError(f"{run.root} contains a run with another identity ({differ})")
    run.save_samples(datamodule.samples("train"), "train")
