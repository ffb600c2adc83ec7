"""Whole steps on the device are the steps of the usual loop; here they run without CUDA graphs."""

import json
import weakref
from collections import Counter

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LambdaCallback, LearningRateMonitor
from torch.utils._python_dispatch import TorchDispatchMode

from bvalign import Ensemble
from bvalign.data import Digits
from bvalign.data.augmentation import Augmentation
from bvalign.ensemble import fitting, graphs, trial
from bvalign.ensemble.checkpoints import CheckpointMembers
from bvalign.ensemble.fitting import fitting_pack_size
from bvalign.ensemble.graphs import LANES, warm_up
from bvalign.ensemble.plans import PLANS
from bvalign.ensemble.trial import choose_plan
from bvalign.ensemble.without_graph import why_usual_steps
from tests.ensemble.test_checkpoints import same, train
from tests.networks import NETWORKS, quiet_trainer


class Recorded(graphs.Plain):
    """A lane that warms up as a CUDA stream does, and repeats a step by calling it again."""

    def __init__(self):
        self.waits, self.steps = [], []

    def capture(self, step):
        warm_up(step)
        self.steps.append(step)
        return step

    def fork(self):
        self.waits.append("fork")

    def join(self):
        self.waits.append("join")


@pytest.fixture
def recorded(monkeypatch):
    """The lanes of each fit."""
    fits = []

    def lanes(device, steps):
        fits.append([Recorded() for _ in range(min(LANES, steps))])
        return fits[-1]

    monkeypatch.setattr("bvalign.ensemble.steps.lanes", lanes)
    return fits


class Shifted(Digits):
    """Digits with random crops and flips."""

    augmentation = Augmentation(padding=1, flip=True)


def fitted(drawn, steps_at_once=1, precision="32-true", name="cnn", members=3, **arguments):
    """A module after three epochs of seven steps, and its Trainer."""
    arguments = NETWORKS[name] | {"lr": 0.05, "momentum": 0.9} | arguments
    module = Ensemble(10, (1, 8, 8), members=members, **arguments)
    module.drawn, module.steps_at_once = drawn, steps_at_once
    often = {"max_epochs": 3, "check_val_every_n_epoch": 2, "num_sanity_val_steps": 0}
    trainer = quiet_trainer(precision=precision, **often)
    trainer.fit(module, Shifted(batch_size=20, num_train=150, num_test=20))
    return module, trainer


def assert_same(found, expected):
    for one, two in zip(found, expected, strict=True):
        if isinstance(one, Trainer):
            states = [t.optimizers[0].state_dict() for t in (one, two)]
            assert states[0]["param_groups"] == states[1]["param_groups"]
            for key, kept in states[1]["state"].items():
                here = states[0]["state"][key]
                assert all(v is None or torch.equal(here[k], v) for k, v in kept.items())
            schedules = [
                [c.scheduler.state_dict() for c in t.lr_scheduler_configs] for t in (one, two)
            ]
            assert schedules[0] == schedules[1]
            assert one.global_step == two.global_step == 21
        else:
            here, there = one.state_dict(), two.state_dict()
            assert all(torch.equal(here[key], there[key]) for key in there)
            assert torch.equal(one.train_loss(), two.train_loss())
            assert one.passes == two.passes


@pytest.mark.parametrize("plan", ["sequential", "packed", "vmap"])
@pytest.mark.parametrize(
    ("optimizer", "schedule", "precision"),
    [
        ("sgd", "onecycle", "32-true"),
        ("sgd", "cosine", "64-true"),
        ("adamw", "cosine", "32-true"),
        ("adamw", "constant", "bf16-mixed"),
    ],
)
def test_whole_steps_are_the_steps_of_the_usual_loop(
    plan, optimizer, schedule, precision, recorded
):
    same = {"plan": plan, "optimizer": optimizer, "schedule": schedule, "precision": precision}
    expected = fitted(False, **same)
    for steps_at_once in (1, 3):
        assert_same(fitted(True, steps_at_once, **same), expected)
    assert len(recorded) == 2
    assert {len(lanes) for lanes in recorded} == {3 if plan == "sequential" else 1}


@pytest.mark.parametrize("plan", ["sequential", "packed"])
def test_whole_steps_average_and_know_their_groups(plan, recorded):
    recipe = {"schedule": "triangular", "lookahead": 4, "bias_lr_factor": 8.0, "lr": 0.02}
    same = {"name": "whitened", "plan": plan, **recipe}
    assert_same(fitted(True, 3, **same), fitted(False, **same))
    assert recorded


@pytest.mark.parametrize("plan", ["sequential", "packed"])
@pytest.mark.parametrize("change", ["drawn to the end", "drawn at last", "drawn at first"])
def test_whole_steps_go_on_within_an_epoch(tmp_path, monkeypatch, plan, change, recorded):
    """Also where a run is continued on a device with other steps."""

    def steps(drawn, place, at=None):
        reason = None if drawn else "a test"
        monkeypatch.setattr("bvalign.commands.waves.why_usual_steps", lambda *_: reason)
        return train(tmp_path / place, at, plan=plan, optimizer="adamw", steps_at_once=2)

    whole, _ = steps(drawn=False, place="whole")
    steps(change != "drawn at last", "run", at=7)  # in the second epoch
    run, _ = steps(change != "drawn at first", "run")
    same(whole, run)
    assert recorded


def test_one_graph_of_each_member_shares_the_streams_with_others(recorded):
    fitted(True, 3, members=6, plan="sequential")
    (lanes,) = recorded
    assert [[step.row for step in lane.steps] for lane in lanes] == [[0, 4], [1, 5], [2], [3]]
    batches = 1 + 3 * 3  # the capture, and three epochs of three batches
    assert all(lane.waits == ["fork", "join"] * batches for lane in lanes)


def test_a_step_that_cannot_be_captured_is_said_in_a_line(monkeypatch):
    def capture(lane, step):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(graphs.Plain, "capture", capture)
    with pytest.raises(
        ValueError, match=r"in a CUDA graph .operation .* capturing.; --model.graph=off"
    ) as caught:
        fitted(True)
    assert "\n" not in str(caught.value)


class Follows(Callback):
    """Looks at every batch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        assert len(batch) == 3


class Own(Ensemble):
    """A user's class."""


class Other(Digits):
    """Digits with batches of their own."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        (None, {}),
        (None, {"callbacks": [LearningRateMonitor(), CheckpointMembers()]}),
        ("model.graph=off", {"model": {"graph": "off"}}),
        ("model.compile=true", {"model": {"compile": True}}),
        ("trainer.max_steps", {"max_steps": 5}),
        ("trainer.limit_train_batches", {"limit_train_batches": 1}),
        ("trainer.accumulate_grad_batches", {"accumulate_grad_batches": 2}),
        ("trainer.gradient_clip_val", {"gradient_clip_val": 1.0}),
        ("trainer.detect_anomaly", {"detect_anomaly": True}),
        ("trainer.reload_dataloaders_every_n_epochs", {"reload_dataloaders_every_n_epochs": 1}),
        ("trainer.precision=64-true: fused optimizers", {"precision": "64-true"}),
        ("Follows follows every batch", {"callbacks": [Follows()]}),
        ("LambdaCallback follows every", {"callbacks": [LambdaCallback(on_train_batch_end=print)]}),
        ("Own is a class of your own", {"kind": Own}),
        ("Other makes its batches in a way of its own", {"data": Other}),
        ("Dropout at '1' draws random", {"model": {"arch": "tests.networks.dropping"}}),
        ("tests.networks.drawing draws", {"model": {"arch": "tests.networks.drawing"}}),
    ],
)
def test_where_whole_steps_cannot_be_is_said(reason, arguments):
    settings = {"max_epochs": 2} | arguments
    kind, model, data = (settings.pop(k, d) for k, d in DEFAULTS.items())
    trainer = quiet_trainer(**settings)
    module = kind(10, (1, 8, 8), **{"arch": "mlp"} | model)
    assert why_usual_steps(module, data(), trainer) == "on a CPU"
    trainer.strategy._root_device = torch.device("cuda")
    found = why_usual_steps(module, data(), trainer)
    assert found is None if reason is None else found.startswith(reason)


DEFAULTS = {"kind": Ensemble, "model": {}, "data": Digits}


def test_a_run_says_whether_its_steps_are_graphs(fit, tmp_path, capsys, monkeypatch):
    graphs = []
    for reason in ("on a CPU", "model.graph=off", None):
        monkeypatch.setattr("bvalign.commands.waves.why_usual_steps", lambda *_, r=reason: r)
        fit(f"--model.members={2 + 2 * len(graphs)}", "--model.pack_size=2")
        plans = json.loads((tmp_path / "runs/digits-mlp/run.json").read_text())["plans"]
        graphs.append(plans[-1]["graph"])
    assert graphs == ["off: on a CPU", "off: model.graph=off", "off: not on CUDA"]
    assert len(plans) == 3
    assert "graph" not in capsys.readouterr().err.lower()  # nobody expects one on a CPU


@pytest.mark.parametrize("plan", ["sequential", "packed", "vmap"])
def test_the_trial_times_whole_steps(plan, recorded):
    module = Ensemble(10, (1, 8, 8), plan=plan, members=2, **NETWORKS["cnn"])
    module.drawn = True
    choice = choose_plan(module, (0, 1), 8, quiet_trainer(precision="bf16-mixed"))
    assert choice.seconds.keys() == {plan}
    assert len(recorded) == 2  # of one member, and of both
    assert module.pack is None


def test_what_a_step_took_is_free_after_it_ran_out_of_memory(monkeypatch):
    taken, alive = [], []

    def full(pack, input):
        activations = input * 2
        taken.extend(map(weakref.ref, (pack, activations)))
        raise torch.OutOfMemoryError("CUDA out of memory")

    def collect():
        alive.append([one for one in taken if one() is not None])

    monkeypatch.setattr(PLANS["packed"], "forward", full)
    monkeypatch.setattr("gc.collect", collect)
    monkeypatch.setattr("bvalign.ensemble.plans._check", lambda *_: None)
    monkeypatch.setattr(trial, "SHORT", 0.0)  # one turn
    module = Ensemble(10, (1, 8, 8), arch="mlp", members=2)
    choice = choose_plan(module, (0, 1), 8, quiet_trainer())
    assert choice.refused == {"packed": "CUDA out of memory"}
    assert len(taken) == 2
    assert alive == [[]]  # before the memory is given back


def test_packs_are_halved_until_they_fit(monkeypatch, capsys):
    tried = []

    def seconds(module, plan, members, *_):
        tried.append((plan, len(members)))
        if len(members) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return 0.1

    monkeypatch.setattr(fitting, "seconds_per_step", seconds)
    module, trainer = Ensemble(10, (1, 8, 8), members=9), quiet_trainer()
    limit = 3
    assert fitting_pack_size(module, 9, 8, trainer) == 9
    assert tried == []  # on a CPU
    trainer.strategy._root_device = torch.device("cuda", 0)
    assert fitting_pack_size(module, 9, 8, trainer) == 3
    assert tried == [("sequential", size) for size in (9, 5, 3)]
    assert module.members == tuple(range(9))
    assert capsys.readouterr().err == (
        "9 members do not fit into the memory of cuda:0 side by side (CUDA out of memory.); "
        "--model.pack_size=3 is used\n"
    )
    assert fitting_pack_size(module, 2, 8, trainer) == 2
    assert capsys.readouterr().err == ""
    limit = 0
    with pytest.raises(ValueError, match=r"one member does not fit into memory .*batch_size"):
        fitting_pack_size(module, 9, 8, trainer)


class Operations(TorchDispatchMode):
    """Counts what is computed."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.calls[str(function)] += 1
        return function(*arguments, **options or {})


class CountedError(Exception):
    """Ends a training whose operations are counted."""


def operations(plan, members, optimizer):
    """Operations of one whole step in the middle of a training."""
    found = []

    def count(trainer, module, batch, number):
        if number == 2:
            with Operations() as counter:
                module.whole_steps.make(1)
            found.append(counter.calls)
            raise CountedError

    module = Ensemble(10, (1, 8, 8), plan=plan, optimizer=optimizer, **NETWORKS["cnn"])
    module.assign(range(members))
    module.drawn = True
    callback = LambdaCallback(on_train_batch_start=count)
    with pytest.raises(CountedError):
        quiet_trainer(max_epochs=1, callbacks=[callback]).fit(
            module, Shifted(batch_size=20, num_train=100, num_test=20)
        )
    return found[0]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_step_asks_the_device_for_nothing_and_packs_all_members_in_each_call(optimizer):
    few, many = (operations("packed", members, optimizer) for members in (2, 5))
    assert few == many
    assert sum(few[name] for name in few if "fused" in name) == 1
    alone, pair = (operations("sequential", members, optimizer) for members in (1, 2))
    assert pair == {name: 2 * calls for name, calls in alone.items()}
    for calls in (few, pair):
        asked = ("_local_scalar_dense", "nonzero", "lift_fresh", "equal.")
        assert not [name for name in calls if any(word in name for word in asked)]
