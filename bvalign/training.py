"""The training commands on LightningCLI: `fit` goes through the packs of a run in waves.

This is the only place that joins data, ensemble, predictions and what is shown.
"""

import importlib
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from bvalign.data import EnsembleDataModule
from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.trial import choose_plan
from bvalign.predictions import RunDirectory
from bvalign.predictions.plan_record import settle_plan
from bvalign.provenance import provenance
from bvalign.show.callbacks import AlignmentScatter, SaveMembers
from bvalign.show.members_progress import MembersProgress
from bvalign.show.report import analyze_and_report
from bvalign.show.wandb_run import WandbRun
from bvalign.show.wandb_setup import use_wandb

DECISIVE = (
    "max_epochs",
    "max_steps",
    "limit_train_batches",
    "precision",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
)
"""Trainer arguments that decide a member's weights; the others decide where and how fast."""


class EnsembleCLI(LightningCLI):
    """LightningCLI whose `fit` trains every missing member of a run directory, then reports."""

    def __init__(self, args: Sequence[str] | None = None) -> None:
        # Lightning introduces itself anew in every Trainer, and a run has one per pack
        logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
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
        """Fills in where a run lives and that W&B keeps its files there."""
        config = self.config[self.subcommand]
        if config.trainer.default_root_dir is None:
            module, _, name = config.data.class_path.rpartition(".")
            data = getattr(importlib.import_module(module), name).name
            config.trainer.default_root_dir = f"runs/{data}-{config.model.arch}"
        self._dump_config()  # config.yaml serves other runs too, so it has no W&B id
        self.wandb_lock = use_wandb(config.trainer, Path(config.trainer.default_root_dir))

    def fit(self, model: Ensemble, datamodule: EnsembleDataModule, **_: Any) -> None:
        """Trains the members that are missing, pack by pack, and writes the report."""
        _refuse_what_couples_or_truncates(self.trainer)
        datamodule.prepare_data()
        datamodule.setup()
        root = Path(self.trainer.default_root_dir)
        run = RunDirectory.open(
            root,
            {
                "data": datamodule.identity(),
                "model": model.identity(),
                "trainer": {key: self._trainer_config().get(key) for key in DECISIVE},
            },
            model.num_members,
            model.pack_size,
            provenance(),
        )
        done, problems = run.finished()
        for problem in problems:
            print(f"{problem}: trained again", file=sys.stderr)
        run.save_samples(
            datamodule.arrays.test_target,
            datamodule.class_names,
            None if datamodule.texts else datamodule.arrays.test_images,
            datamodule.arrays.notes,
            datamodule.texts,
        )
        (root / "config.yaml").write_text(self._config_yaml())
        device = self.trainer.strategy.root_device
        print(
            f"{root}: {len(done)} of {run.num_members} members finished; {model.arch} on "
            f"{datamodule.name}, {device}, {torch.get_num_threads()} threads",
            file=sys.stderr,
        )
        wandb_run = self.config_init[self.subcommand].wandb
        if len(done) < run.num_members:
            wandb_run.start(self.trainer.loggers, run, yaml.safe_load(self._config_yaml()))
            self._settle_plan(run, model, datamodule)
        bar = MembersProgress(len(done), run.num_members)
        callbacks = [AlignmentScatter(run), SaveMembers(run), bar]
        try:
            self._train(run, model, datamodule, callbacks)
        except (KeyboardInterrupt, SystemExit):
            kept = len(run.finished()[0])
            raise KeyboardInterrupt(
                f"{kept} of {run.num_members} members are finished and kept; the same command "
                "continues"
            ) from None
        finally:
            bar.close()
        wandb_run.finish(self.trainer.loggers, run, analyze_and_report(root, root))

    def test(self, model: Ensemble, datamodule: EnsembleDataModule, **_: Any) -> None:
        """Evaluates the finished members of a run again, from their weights."""
        run = RunDirectory(self.trainer.default_root_dir)
        model.assign(run.finished()[0])
        model.configure_model()
        for member in model.members:
            model.pack.load(member, run.member(member).weights())
        self.instantiate_trainer(callbacks=[AlignmentScatter()]).test(model, datamodule)

    def instantiate_trainer(self, callbacks: Sequence[Callback] = (), **kwargs: Any) -> Trainer:
        """A new Trainer with the user's callbacks and these; one serves one pack."""
        config = self._trainer_config()
        users = config["callbacks"] or []
        users = users if isinstance(users, list) else [users]
        return Trainer(**{**config, **kwargs, "callbacks": [*users, *callbacks]})

    def _train(
        self,
        run: RunDirectory,
        model: Ensemble,
        datamodule: EnsembleDataModule,
        callbacks: Sequence[Callback],
    ) -> None:
        while True:
            with run.claim() as members:
                if not members:
                    return
                model.assign(members)
                trainer = self.instantiate_trainer(callbacks)
                trainer.fit(model, datamodule=datamodule)
                trainer.test(model, datamodule=datamodule, verbose=False)

    def _settle_plan(
        self, run: RunDirectory, model: Ensemble, datamodule: EnsembleDataModule
    ) -> None:
        batch_size, trainer = datamodule.batch_size, self.trainer
        found = settle_plan(
            run, model.plan, lambda: choose_plan(model, batch_size, trainer)._asdict()
        )
        model.plan = found["plan"]
        print(f"plan {model.plan} ({found['reason']})", file=sys.stderr)

    def _trainer_config(self) -> dict[str, Any]:
        return dict(self.config_init[self.subcommand].trainer)

    def _config_yaml(self) -> str:
        self._dump_config()
        return yaml.safe_dump(self.config_dump, sort_keys=False)


def _seed(seed: bool | int) -> int:
    if isinstance(seed, bool):
        raise ValueError("seed_everything must be a number: the seed is part of what a run is")
    return seed


def _refuse_what_couples_or_truncates(trainer: Trainer) -> None:
    if trainer.gradient_clip_val and trainer.gradient_clip_algorithm != "value":
        raise ValueError(
            "trainer.gradient_clip_val clips by the norm over all members of a pack and so couples "
            "them; use --trainer.gradient_clip_algorithm=value"
        )
    if trainer.limit_test_batches != 1.0:
        raise ValueError(
            f"trainer.limit_test_batches must be 1.0, got {trainer.limit_test_batches}: every "
            "sample needs all members; use --data.num_test for a smaller test set"
        )
