"""A training that was stopped and continued ends where an uninterrupted one does."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer

from bvalign.data import Digits
from bvalign.ensemble.checkpoints import CheckpointMembers
from bvalign.ensemble.module import Ensemble
from bvalign.predictions import RunDirectory
from bvalign.waves import train_members

EPOCHS, STEPS = 3, 5  # 100 samples in batches of 20


class At(Callback):
    """Does something once after a number of optimizer steps."""

    def __init__(self, step, act):
        self.step, self.act, self.steps = step, act, 0

    def on_train_batch_end(self, trainer, *_):
        self.steps += 1
        if self.step is not None and trainer.global_step >= self.step:
            self.step = None
            self.act(trainer)


class Killed(Exception):
    """Stands for a process that is gone."""


def kill(_):
    raise Killed


def ask(trainer):
    (stop,) = (c for c in trainer.callbacks if type(c).__name__ == "StopRequest")
    stop.asked = True


def train(root, at=None, act=kill, checkpoints=None, trainer_args=None, **model_args):
    """Trains what is missing in `root`; `act` happens once after step `at` of a wave.

    Gives the run and the steps that were made, or just the steps where it was stopped.
    """
    model_args = {"arch": "mlp", "width": 8, "members": 3, "pack_size": 2} | model_args
    data = Digits(batch_size=20, num_train=100, num_test=57)
    data.setup()
    module = Ensemble(10, (1, 8, 8), **model_args)
    run = RunDirectory.open(root, {}, module.num_members, module.pack_size, {})
    run.save_samples(data.samples())
    once = At(at, act)

    def make_trainer(callbacks, io):
        options = {"max_epochs": EPOCHS, "check_val_every_n_epoch": 2} | (trainer_args or {})
        return Trainer(
            **options,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=[once, *callbacks],
            plugins=[io],
        )

    strategy = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False).strategy
    checkpoints = checkpoints or CheckpointMembers(seconds=0, every_n_steps=2)
    try:
        train_members(run, module, data, make_trainer, strategy, checkpoints, [])
    except (Killed, KeyboardInterrupt, SystemExit):
        return once.steps
    assert once.step is None
    return run, once.steps


def same(a, b):
    assert a.finished() == b.finished()
    for member in a.finished()[0]:
        one, two = a.member(member), b.member(member)
        assert torch.equal(one.logits(), two.logits()), member
        weights = two.weights()
        assert all(torch.equal(v, weights[k]) for k, v in one.weights().items()), member
        assert (one.path / "history.csv").read_bytes() == (two.path / "history.csv").read_bytes()
        assert {f.name for f in two.path.iterdir()} == {
            "logits.safetensors",
            "weights.safetensors",
            "history.csv",
        }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run, steps = train(tmp_path_factory.mktemp("whole"))
    assert steps == 2 * EPOCHS * STEPS
    return run


@pytest.mark.parametrize("act", [kill, ask])
@pytest.mark.parametrize("at", range(1, EPOCHS * STEPS + 1))
def test_stopped_after_any_step(tmp_path, whole, at, act):
    done = train(tmp_path, at, act)
    run, steps = train(tmp_path)
    same(whole, run)
    lost = done + steps - 2 * EPOCHS * STEPS
    assert lost == 0 if act is ask else lost <= 2
