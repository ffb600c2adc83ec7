"""The training commands on LightningCLI; `fit` trains the packs of a run in waves.

This is the only module that joins data, ensemble, predictions and show.
"""

import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

from bvalign.atomic import naming
from bvalign.commands.first_start import pack_size_of_new_run
from bvalign.commands.home import with_home
from bvalign.commands.one_line import OneLineParser, told_in_one_line
from bvalign.commands.place import OVERWRITE, Place, describe
from bvalign.commands.report import ALONE, analyze_and_report
from bvalign.commands.train_predictions import StoredPredictions
from bvalign.commands.trainers import (
    TRAINER_DEFAULTS,
    checked_seed,
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
from bvalign.show.loggers import WandbRun, log_to_run, use_wandb


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
            trainer_defaults=TRAINER_DEFAULTS,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults({"data": {"class_path": "bvalign.data.Digits"}})
        parser.add_class_arguments(WandbRun, "wandb")
        parser.add_class_arguments(CheckpointMembers, "checkpoints")
        parser.add_class_arguments(StoredPredictions, "predictions")
        parser.link_arguments("seed_everything", "model.seed", compute_fn=checked_seed)
        parser.link_arguments("data.num_classes", "model.num_classes", apply_on="instantiate")
        parser.link_arguments("data.image_shape", "model.image_shape", apply_on="instantiate")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        skipped = {"model", "train_dataloaders", "val_dataloaders", "dataloaders", "datamodule"}
        return {
            "fit": skipped | {"ckpt_path", "weights_only"},
            "test": skipped | {"ckpt_path", "weights_only"},
        }

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "fit":
            parser.add_argument("--overwrite", action="store_true", help=OVERWRITE)
        return parser

    def before_instantiate_classes(self) -> None:
        """Checks the Trainer's arguments, and names the run directory and the logger."""
        config = self.config[self.subcommand] = with_home(self.config[self.subcommand])
        refuse_settings(vars(config.trainer))
        refuse_callback_classes(config.trainer.callbacks)
        if config.trainer.deterministic:
            config.trainer.benchmark = None  # which Lightning then turns off
        given = config.trainer.default_root_dir
        data = class_of(config.data.class_path).name
        self.place = Place(Path(given or f"runs/{data}-{config.model.arch}"), given is not None)
        config.trainer.default_root_dir = str(self.place.root)
        self._dump_config()  # config.yaml serves other runs too, so it has no W&B id
        use_wandb(config.trainer)

    @told_in_one_line()
    def instantiate_classes(self) -> None:
        super().instantiate_classes()

    @told_in_one_line()
    def fit(self, model: Ensemble, datamodule: EnsembleDataModule, **_: Any) -> None:
        """Trains the missing members pack by pack and writes the report."""
        refuse_coupling(self.trainer, sync_batchnorm=self._trainer_config()["sync_batchnorm"])
        ranks, named = started_ranks(self.trainer.strategy), naming(self.place.root)
        with signals_to(signal.default_int_handler), named, ranks, ExitStack() as self.held:
            self._train_and_report(model, datamodule)

    @told_in_one_line()
    def test(self, model: Ensemble, datamodule: EnsembleDataModule, **_: Any) -> None:
        """Evaluates the finished members of a run again, from their weights."""
        datamodule.prepare_data()
        datamodule.setup()
        run = self.place.existing(self._identity(model, datamodule))
        members, _ = run.finished()
        if not members:
            raise ValueError(f"{run.root}: no member is finished yet; `bvalign fit` trains them")
        self._log_to(run.root)
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
        strategy = self.trainer.strategy
        with one_at_a_time(self.place.root):  # one process downloads, the others wait
            datamodule.prepare_data()
        datamodule.setup()
        run = on_rank_zero(strategy, lambda: self._open_run(model, datamodule))
        self._log_to(run.root)
        if run.missing(retry=model.on_diverged == "retry") or not self._wandb.has_logged(run):
            self._wandb.start(self.loggers, run, self.config_dump)
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

    def _open_run(self, model: Ensemble, datamodule: EnsembleDataModule) -> RunDirectory:
        """Creates or joins the run on disk, saves samples and configuration, prints the state."""
        strategy = self.trainer.strategy
        identity = self._identity(model, datamodule)
        if self.config[self.subcommand].overwrite:
            self.place.clear(identity)
        pack_size = even_pack_size(model.num_members, model.pack_size, seats(strategy))
        if not (self.place.find(identity) / "run.json").exists():
            pack_size = pack_size_of_new_run(model, datamodule, self.trainer, pack_size)
        samples = datamodule.samples()
        of_device = provenance(strategy.root_device)
        run = self.place.open(identity, model.num_members, pack_size, of_device)
        done = describe(run, samples, self.config_dump)
        print(
            f"{run.root}: {len(done)} of {run.num_members} members finished; {model.arch} on "
            f"{datamodule.name}, {hardware(self.trainer)}, {torch.get_num_threads()} threads",
            file=sys.stderr,
        )
        return run

    def _identity(
        self, model: Ensemble, datamodule: EnsembleDataModule
    ) -> dict[str, dict[str, object]]:
        return {
            "data": datamodule.identity(),
            "model": model.identity(),
            "trainer": trainer_identity(self._trainer_config()),
            **self._predictions.identity(model.num_classes),
        }

    def _log_to(self, root: Path) -> None:
        """Makes later Trainers write and log to the run directory."""
        config = self.config_init[self.subcommand].trainer
        config.default_root_dir = str(root)
        configured = self.config[self.subcommand].trainer.logger
        data, arch = self.datamodule.name, self.model.arch
        self.loggers, lease = log_to_run(
            configured, config.logger, root, self.subcommand, (data, arch)
        )
        if lease:
            self.held.push(lease)
        config.logger = self.loggers or False

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
                found = analyze_and_report(run.root, run.root, place=ALONE)
                self._wandb.finish(self.loggers, run, *found)

    @property
    def _wandb(self) -> WandbRun:
        return self.config_init[self.subcommand].wandb

    @property
    def _predictions(self) -> StoredPredictions:
        return self.config_init[self.subcommand].predictions

    def _trainer_config(self) -> dict[str, Any]:
        return dict(self.config_init[self.subcommand].trainer)
