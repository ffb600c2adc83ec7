"""The training commands on LightningCLI; `fit` trains the packs of a run in waves.

This is the only module that joins data, ensemble, predictions and show.
"""

import signal
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

from bvalign.commands.analyze import ALONE
from bvalign.commands.first_start import pack_size_of_new_run
from bvalign.commands.home import with_home
from bvalign.commands.one_line import OneLineParser, told_in_one_line
from bvalign.commands.report import analyze_and_report
from bvalign.commands.train_predictions import StoredPredictions
from bvalign.commands.trainers import (
    class_of,
    hardware,
    make_trainer,
    quiet_lightning,
    refuse_callback_classes,
)
from bvalign.commands.waves import even_pack_size, seats, train_members
from bvalign.data import EnsembleDataModule
from bvalign.ensemble.checkpoints import CheckpointMembers
from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.ranks import leave_together, on_rank_zero, started_ranks
from bvalign.ensemble.stopping import signals_to
from bvalign.ensemble.trainer_settings import refuse_coupling, refuse_settings, trainer_identity
from bvalign.memory import keep_freed_memory
from bvalign.predictions import RunDirectory
from bvalign.predictions.run.claims import one_at_a_time
from bvalign.provenance import provenance
from bvalign.show.callbacks import AlignmentScatter, MembersProgress
from bvalign.show.loggers import WandbRun, use_wandb


class EnsembleCLI(LightningCLI):
    """LightningCLI whose `fit` trains the missing members of a run directory, then reports."""

    def __init__(self, args: Sequence[str] | None = None) -> None:
        quiet_lightning()
        keep_freed_memory()
        warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`")
        super().__init__(
            Ensemble,
            EnsembleDataModule,
            subclass_mode_data=True,
            args=args,
            save_config_callback=None,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            parser_kwargs={"prog": "bvalign"},
            parser_class=OneLineParser,
            trainer_defaults={
                "max_epochs": 20,
                "log_every_n_steps": 1,
                "check_val_every_n_epoch": 5,
                "num_sanity_val_steps": 0,
                "enable_checkpointing": False,
                "enable_model_summary": False,
                "use_distributed_sampler": False,
            },
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults({"data": {"class_path": "bvalign.data.Digits"}})
        parser.add_class_arguments(WandbRun, "wandb")
        parser.add_class_arguments(CheckpointMembers, "checkpoints")
        parser.add_class_arguments(StoredPredictions, "predictions")
        parser.link_arguments("seed_everything", "model.seed", compute_fn=_seed)
        parser.link_arguments("data.num_classes", "model.num_classes", apply_on="instantiate")
        parser.link_arguments("data.image_shape", "model.image_shape", apply_on="instantiate")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        skipped = {"model", "train_dataloaders", "val_dataloaders", "dataloaders", "datamodule"}
        return {
            "fit": skipped | {"ckpt_path", "weights_only"},
            "test": skipped | {"ckpt_path", "weights_only"},
        }

    def before_instantiate_classes(self) -> None:
        """Fills in the run directory, and makes W&B keep its files there."""
        config = self.config[self.subcommand] = with_home(self.config[self.subcommand])
        refuse_settings(vars(config.trainer))
        refuse_callback_classes(config.trainer.callbacks)
        if config.trainer.deterministic:
            config.trainer.benchmark = None  # which Lightning then turns off
        if config.trainer.default_root_dir is None:
            data = class_of(config.data.class_path).name
            config.trainer.default_root_dir = f"runs/{data}-{config.model.arch}"
        self._dump_config()  # config.yaml serves other runs too, so it has no W&B id
        root = Path(config.trainer.default_root_dir)
        self.wandb_lock = use_wandb(config.trainer, root, self.subcommand)

    @told_in_one_line()
    def instantiate_classes(self) -> None:
        super().instantiate_classes()

    @told_in_one_line()
    def fit(self, model: Ensemble, datamodule: EnsembleDataModule, **_: Any) -> None:
        """Trains the missing members pack by pack and writes the report."""
        refuse_coupling(self.trainer, sync_batchnorm=self._trainer_config()["sync_batchnorm"])
        with signals_to(signal.default_int_handler), started_ranks(self.trainer.strategy):
            self._train_and_report(model, datamodule)

    @told_in_one_line()
    def test(self, model: Ensemble, datamodule: EnsembleDataModule, **_: Any) -> None:
        """Evaluates the finished members of a run again, from their weights."""
        run = RunDirectory(self.trainer.default_root_dir)
        members, _ = run.finished()
        if not members:
            raise ValueError(f"{run.root}: no member is finished yet; `bvalign fit` trains them")
        model.assign(members)
        model.configure_model()
        for member in model.members:
            model.pack.load(member, run.member(member).weights())
        make = partial(self.instantiate_trainer, devices=1, num_nodes=1, strategy="auto")
        trainer = make([AlignmentScatter()])
        trainer.test(model, datamodule)
        self._predictions.store(run, model, datamodule, make, trainer.strategy)

    def instantiate_trainer(self, callbacks: Sequence[Callback] = (), **kwargs: Any) -> Trainer:
        """Makes a Trainer for one wave, with the user's callbacks and these."""
        return make_trainer(self._trainer_config(), callbacks, **kwargs)

    def _train_and_report(self, model: Ensemble, datamodule: EnsembleDataModule) -> None:
        strategy, root = self.trainer.strategy, Path(self.trainer.default_root_dir)
        with one_at_a_time(root):  # one process downloads, the others wait
            datamodule.prepare_data()
        datamodule.setup()
        run = on_rank_zero(strategy, lambda: self._open_run(root, model, datamodule))
        bar = MembersProgress(run.num_members)
        try:
            train_members(
                run,
                model,
                datamodule,
                lambda callbacks, io: self.instantiate_trainer(callbacks, plugins=io),
                self.trainer,
                self.config_init[self.subcommand].checkpoints,
                [AlignmentScatter(run), bar],
            )
            self._predictions.store(run, model, datamodule, self.instantiate_trainer, strategy)
        except (KeyboardInterrupt, SystemExit) as stop:
            if not strategy.is_global_zero:
                return
            kept = len(run.finished()[0])
            why = stop if isinstance(stop, SIGTERMException) else ""
            raise KeyboardInterrupt(
                f"{why}{kept} of {run.num_members} members are finished and kept; the same command "
                "continues"
            ) from None
        finally:
            bar.close()
        leave_together(strategy)
        if strategy.is_global_zero:
            self._report(run, model)

    def _open_run(
        self, root: Path, model: Ensemble, datamodule: EnsembleDataModule
    ) -> RunDirectory:
        """Creates or joins the run on disk, saves samples and configuration, prints the state."""
        strategy = self.trainer.strategy
        pack_size = even_pack_size(model.num_members, model.pack_size, seats(strategy))
        if not (root / "run.json").exists():
            pack_size = pack_size_of_new_run(model, datamodule, self.trainer, pack_size)
        samples = datamodule.samples()
        run = RunDirectory.open(
            root,
            {
                "data": datamodule.identity(),
                "model": model.identity(),
                "trainer": trainer_identity(self._trainer_config()),
            },
            model.num_members,
            pack_size,
            provenance(strategy.root_device),
        )
        done, problems = run.finished()
        for problem in problems:
            print(f"{problem}: trained again", file=sys.stderr)
        run.save_samples(samples)
        for note in samples.notes:
            print(note, file=sys.stderr)
        config = self._config_yaml()
        with one_at_a_time(root):
            (root / "config.yaml").write_text(config)
        print(
            f"{root}: {len(done)} of {run.num_members} members finished; {model.arch} on "
            f"{datamodule.name}, {hardware(self.trainer)}, {torch.get_num_threads()} threads",
            file=sys.stderr,
        )
        if run.missing(retry=model.on_diverged == "retry"):
            self._wandb.start(self.trainer.loggers, run, yaml.safe_load(config))
        return run

    def _report(self, run: RunDirectory, model: Ensemble) -> None:
        """Writes the report, in the process that finishes the last member."""
        left = run.missing(retry=model.on_diverged == "retry")
        if left:
            print(
                f"{run.root}: {len(left)} members are in training in other processes; the last to "
                "finish writes the report",
                file=sys.stderr,
            )
            return
        with run.reporting() as ours:
            if ours:
                analysis = analyze_and_report(run.root, run.root, place=ALONE)
                self._wandb.finish(self.trainer.loggers, run, analysis)

    @property
    def _wandb(self) -> WandbRun:
        return self.config_init[self.subcommand].wandb

    @property
    def _predictions(self) -> StoredPredictions:
        return self.config_init[self.subcommand].predictions

    def _trainer_config(self) -> dict[str, Any]:
        return dict(self.config_init[self.subcommand].trainer)

    def _config_yaml(self) -> str:
        self._dump_config()
        return yaml.safe_dump(self.config_dump, sort_keys=False)


def _seed(seed: bool | int) -> int:
    if isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(
            "seed_everything must be a number from 0 to 4294967295: the seed is part of the run's "
            "identity"
        )
    return seed
