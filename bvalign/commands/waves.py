"""Training of claimed packs, with one Trainer for each wave of packs.

A wave is one pack per rank, trained in step by all ranks; with one process it is a single pack.
"""

import math
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.strategies import Strategy

from bvalign.data import EnsembleDataModule
from bvalign.ensemble.checkpoints import CheckpointMembers, MemberCheckpointIO
from bvalign.ensemble.epoch_batches import batches_per_epoch
from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.ranks import on_rank_zero
from bvalign.ensemble.saving import SaveMembers
from bvalign.ensemble.stopping import StopRequest, signals_to
from bvalign.ensemble.strategy import MemberParallelStrategy
from bvalign.ensemble.trial import choose_plan
from bvalign.ensemble.without_graph import why_usual_steps
from bvalign.predictions import RunDirectory
from bvalign.predictions.run.claims import Work, settle_plan
from bvalign.provenance import device_name
from bvalign.show.callbacks import MembersProgress

MakeTrainer = Callable[[Sequence[Callback], MemberCheckpointIO], Trainer]


def seats(strategy: Strategy) -> int:
    """Counts the packs that are trained at the same time: one per rank, or one on all ranks."""
    return strategy.world_size if isinstance(strategy, MemberParallelStrategy) else 1


def even_pack_size(num_members: int, pack_size: int, num_seats: int) -> int:
    """Returns the largest pack size, at most `pack_size`, that leaves no seat idle without need.

    >>> even_pack_size(100, 8, 8), even_pack_size(8, 8, 2), even_pack_size(100, 8, 1)
    (7, 4, 8)
    """
    if num_seats == 1:
        return pack_size
    waves = math.ceil(num_members / (pack_size * num_seats))
    return math.ceil(num_members / (waves * num_seats))


def train_members(
    run: RunDirectory,
    module: Ensemble,
    datamodule: EnsembleDataModule,
    make_trainer: MakeTrainer,
    trainer: Trainer,
    checkpoints: CheckpointMembers,
    watchers: Sequence[Callback],
) -> None:
    """Trains the packs that no other process has claimed, wave by wave.

    Args:
        run: the run directory; rank zero claims packs for all ranks.
        module: is assigned the members of each wave.
        datamodule: their data.
        make_trainer: makes a Trainer with these callbacks and this checkpoint IO.
        trainer: of the started ranks; it trains nothing itself.
        checkpoints: saves members that are in training.
        watchers: callbacks that follow all waves.

    Raises:
        KeyboardInterrupt: a stop was requested; members in training are saved.
    """
    strategy = trainer.strategy
    _agree_on_plan(run, module, datamodule, trainer)
    stop = StopRequest()
    with signals_to(stop.ask):
        callbacks = [*watchers, SaveMembers(run, trainer), checkpoints, stop]
        bars = [watcher for watcher in watchers if isinstance(watcher, MembersProgress)]
        retry = module.on_diverged == "retry"
        while True:
            claim = run.claim(seats(strategy), retry=retry) if strategy.is_global_zero else None
            with claim or nullcontext() as work:
                work = strategy.broadcast(work)
                if not work.packs:
                    return
                for bar in bars:
                    bar.start_wave(len(run.finished()[0]), len(work.members))
                _train_wave(run, module, datamodule, make_trainer, strategy, work, callbacks)
                strategy.barrier()
            if strategy.reduce_boolean_decision(stop.asked, all=False):
                raise KeyboardInterrupt


def assign_members(run: RunDirectory, module: Ensemble, strategy: Strategy, work: Work) -> None:
    """Gives the module this rank's members of the work, with their failed attempts."""
    run.work = work
    mine = strategy.global_rank if seats(strategy) > 1 else 0
    members = work.packs[mine] if mine < len(work.packs) else ()
    module.assign(members, {m: len(run.member(m).divergences()) for m in members})


def _train_wave(
    run: RunDirectory,
    module: Ensemble,
    datamodule: EnsembleDataModule,
    make_trainer: MakeTrainer,
    strategy: Strategy,
    work: Work,
    callbacks: Sequence[Callback],
) -> None:
    assign_members(run, module, strategy, work)
    trainer = make_trainer(callbacks, MemberCheckpointIO(run, module, work))
    trainer.fit(module, datamodule=datamodule, ckpt_path=str(work.step) if work.step else None)
    trainer.test(module, datamodule=datamodule, verbose=False)
    # a Trainer refers to itself, so it and what it holds would stay until Python looks for circles
    trainer.strategy.optimizers, trainer.strategy.lr_scheduler_configs = [], []


def _agree_on_plan(
    run: RunDirectory, module: Ensemble, datamodule: EnsembleDataModule, trainer: Trainer
) -> None:
    """Sets the plan of the run in the module on every rank; in a new run, rank zero times plans."""
    steps = _steps(len(run.packs), module, datamodule, trainer)

    def choose(graph: str) -> dict[str, object]:
        pack, batch_size = run.packs[0], datamodule.batch_size
        choice = choose_plan(module, pack, batch_size, trainer, steps=steps)
        if not datamodule.joins_steps:
            choice = choice._replace(steps_at_once=1)
        return choice._asdict() | {"graph": graph}

    def settle() -> tuple[str, int, bool]:
        if not run.missing(retry=module.on_diverged == "retry"):
            return module.plan, 1, False
        usual, device = why_usual_steps(module, datamodule, trainer), trainer.strategy.root_device
        module.drawn, cuda = usual is None, device.type == "cuda"
        graph = f"off: {usual}" if usual else "on" if cuda else "off: not on CUDA"
        this = {"steps": steps, "device": device_name(device), "graph": graph}
        settled = settle_plan(
            run, module.plan, lambda: choose(graph), compiled=module.compiled, **this
        )
        told = ", compiled" if module.compiled else ""
        if cuda:
            told += ", CUDA graphs" if module.drawn else f", no CUDA graphs ({usual})"
        print(f"plan {settled['plan']}{told} ({settled['reason']})", file=sys.stderr)
        # always that of the first plan, as a checkpoint within an epoch counts batches
        return settled["plan"], run.info["plans"][0]["steps_at_once"], module.drawn

    settled = on_rank_zero(trainer.strategy, settle)
    module.plan, module.steps_at_once, module.drawn = settled


def _steps(
    num_packs: int, module: Ensemble, datamodule: EnsembleDataModule, trainer: Trainer
) -> int | float:
    """Counts the training steps of one seat over all its packs; infinite if nothing ends them."""
    whole = datamodule.steps_per_epoch(module.streams)
    steps = batches_per_epoch(trainer.limit_train_batches, whole)
    steps *= math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    if trainer.max_steps != -1:
        steps = min(steps, trainer.max_steps)
    return steps * math.ceil(num_packs / seats(trainer.strategy))
