"""A training that was stopped and continued ends where an uninterrupted one does."""

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import optim

from bvalign.commands.waves import train_members
from bvalign.data import Digits
from bvalign.ensemble.checkpoints import CheckpointMembers
from bvalign.ensemble.module import Ensemble
from bvalign.ensemble.warm_start import WarmStart
from bvalign.predictions import RunDirectory
from bvalign.predictions.run.claims import settle_plan
from bvalign.provenance import device_name
from bvalign.randomness import Randomness
from bvalign.show.callbacks import NeuralCollapseMonitor
from tests.slow import mostly_slow

WHITENED = {"arch": "whitened_cnn", "arch_args": {"widths": [3, 4]}, "width": None}
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


class KilledError(Exception):
    """Stands for a process that is gone."""


def kill(_):
    raise KilledError


def ask(trainer):
    (stop,) = (c for c in trainer.callbacks if type(c).__name__ == "StopRequest")
    stop.asked = True


def train(
    root,
    at=None,
    act=kill,
    steps_at_once=1,
    trainer_args=None,
    kind=Ensemble,
    watchers=(),
    **model_args,
):
    """Trains what is missing in `root`; `act` happens once after step `at` of a wave.

    Gives the run and the steps that were made, or just the steps where it was stopped.
    """
    defaults = {"arch": "mlp", "width": 8, "members": 3, "pack_size": 2, "plan": "sequential"}
    model_args = defaults | model_args
    data = Digits(batch_size=20, num_train=100, num_test=57)
    data.setup()
    module = kind(10, (1, 8, 8), **model_args)
    run = RunDirectory.open(root, {}, module.num_members, module.pack_size, {})
    run.save_samples(data.samples())
    plan = {"plan": model_args["plan"], "reason": "a test", "steps_at_once": steps_at_once}
    settle_plan(run, plan["plan"], lambda: plan, device=device_name(torch.device("cpu")))
    once = At(at, act)

    options = {
        "max_epochs": EPOCHS,
        "check_val_every_n_epoch": 2,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    } | (trainer_args or {})

    def make_trainer(callbacks, io):
        return Trainer(**options, callbacks=[once, *callbacks], plugins=[io])

    trainer = Trainer(**options)
    checkpoints = CheckpointMembers(seconds=0.0, every_n_steps=2)
    try:
        train_members(run, module, data, make_trainer, trainer, checkpoints, watchers)
    except (KilledError, KeyboardInterrupt, SystemExit):
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
@pytest.mark.parametrize("at", mostly_slow(range(1, EPOCHS * STEPS + 1), quick=(3, 10, 13)))
def test_stopped_after_any_step(tmp_path, whole, at, act):
    done = train(tmp_path, at, act)
    run, steps = train(tmp_path)
    same(whole, run)
    lost = done + steps - 2 * EPOCHS * STEPS
    assert lost == 0 if act is ask else lost <= 2


def stop_early(trainer):
    trainer.should_stop = True


def skip_the_rest(_):
    raise StopIteration


@pytest.mark.parametrize("at", mostly_slow(range(1, EPOCHS * STEPS), quick=(3, 5)))
def test_a_callback_that_stops_training_finishes_no_member(tmp_path, whole, at):
    """After the third step of an epoch, and after its last one."""
    done = train(tmp_path, at, stop_early)
    assert RunDirectory(tmp_path).finished()[0] == []
    run, steps = train(tmp_path)
    same(whole, run)
    assert done + steps == 2 * EPOCHS * STEPS


def test_stopping_after_the_last_step_or_before_the_least_epochs_stops_nothing(tmp_path, whole):
    for at, more in ((EPOCHS * STEPS, {}), (7, {"min_epochs": EPOCHS})):
        run, _ = train(tmp_path / str(at), at, stop_early, trainer_args=more)
        same(whole, run)


@pytest.mark.parametrize(
    ("act", "at", "options"),
    [
        (skip_the_rest, 3, {}),
        (skip_the_rest, 13, {}),
        (lambda trainer: setattr(trainer.fit_loop, "max_epochs", 2), 3, {}),
        (lambda trainer: setattr(trainer.fit_loop.epoch_loop, "max_steps", 8), 3, {}),
        (lambda trainer: setattr(trainer.fit_loop, "max_batches", 3), 2, {}),
        (lambda trainer: setattr(trainer.fit_loop, "max_batches", 2), 2, {"max_steps": 8}),
        (skip_the_rest, 3, {"max_steps": 8}),
    ],
)
def test_a_cut_training_is_not_saved_and_continues_without_the_callback(tmp_path, act, at, options):
    with pytest.raises(ValueError, match=r"members 0, 1 have made .*a callback \(At\) has cut"):
        train(tmp_path / "cut", at, act, trainer_args=options)
    assert RunDirectory(tmp_path / "cut").finished()[0] == []
    run, _ = train(tmp_path / "cut", trainer_args=options)
    straight, _ = train(tmp_path / "straight", trainer_args=options)
    same(straight, run)


@pytest.mark.parametrize("at", mostly_slow(range(1, 8), quick=(4, 5)))
def test_a_number_of_steps_that_ends_within_an_epoch(tmp_path, at):
    options = {"trainer_args": {"max_steps": 8}}
    straight, steps = train(tmp_path / "straight", **options)
    assert steps == 16
    without, _ = train(tmp_path / "null", trainer_args={"max_steps": 8, "max_epochs": None})
    same(straight, without)
    train(tmp_path / "run", at, ask, **options)
    run, _ = train(tmp_path / "run", **options)
    same(straight, run)


@pytest.mark.parametrize("at", mostly_slow([1, 2, 3, 4, 5, 6, 8], quick=(2, 5)))
def test_several_steps_at_once(tmp_path, whole, at):
    """Three batches of two, two and one steps in an epoch."""
    done = train(tmp_path, at, ask, steps_at_once=2)
    run, steps = train(tmp_path, steps_at_once=2)
    same(whole, run)
    assert done + steps == 2 * EPOCHS * 3


@pytest.mark.parametrize("at", mostly_slow([3, 7], quick=[3]))
@pytest.mark.parametrize("arguments", [
    {"optimizer": "adamw", "lr": 0.01},
    {"schedule": "constant", "momentum": 0.0},
    {"schedule": "cosine", "plan": "packed"},
    {"plan": "vmap", "optimizer": "adamw"},
    {"arch": "cnn", "width": 4},
    {"arch": "cnn", "width": 4, "plan": "packed"},
    {"arch": "tests.networks.dropping", "width": None},
    {"arch": "tests.networks.dropping", "width": None, "randomness": Randomness(shared_epochs=1)},
    {"schedule": "triangular", "bias_lr_factor": 4.0},
    {**WHITENED, "plan": "packed", "bias_lr_factor": 4.0, "lr": 0.02, "lookahead": 2},
    {"lookahead": 2, "momentum": 0.5},
])  # fmt: skip
def test_every_kind_of_state_comes_back(tmp_path, arguments, at):
    whole, _ = train(tmp_path / "whole", **arguments)
    train(tmp_path / "run", at, kill, **arguments)
    run, steps = train(tmp_path / "run", **arguments)
    same(whole, run)
    assert steps < 2 * EPOCHS * STEPS


def test_the_last_layer_of_a_frozen_start_comes_back(tmp_path):
    train(tmp_path / "first", arch="cnn", width=4)
    weights = tmp_path / "first" / "members" / "0000" / "weights.safetensors"
    start = {"arch": "cnn", "width": 4, "warm_start": WarmStart(str(weights), frozen=True)}
    whole, _ = train(tmp_path / "whole", **start)
    train(tmp_path / "run", 3, kill, **start)
    run, steps = train(tmp_path / "run", **start)
    same(whole, run)
    assert steps < 2 * EPOCHS * STEPS


def test_accumulated_gradients_are_not_cut(tmp_path):
    arguments = {"trainer_args": {"accumulate_grad_batches": 2}}
    whole, _ = train(tmp_path / "whole", **arguments)
    for at in (1, 2, 3, 4):
        train(tmp_path / str(at), at, ask, **arguments)
        run, _ = train(tmp_path / str(at), **arguments)
        same(whole, run)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, whole):
    train(tmp_path, 9)
    member = RunDirectory(tmp_path).member(0)
    last, before = sorted(member.checkpoint_steps(), reverse=True)[:2]
    path = member.path / f"checkpoint-{last:06d}.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with RunDirectory(tmp_path).claim() as work:
        assert (work.packs, work.step) == (((0, 1),), before)
    run, _ = train(tmp_path)
    same(whole, run)


def test_members_that_are_not_in_step_wait_for_each_other(tmp_path, whole):
    train(tmp_path, 9)
    for path in RunDirectory(tmp_path).member(0).path.glob("checkpoint-*"):
        path.unlink()
    with RunDirectory(tmp_path).claim() as work:
        assert work.packs == ((1,),)
        assert work.step > 0
    run, _ = train(tmp_path)
    same(whole, run)


@pytest.mark.parametrize("policy", ["drop", "retry", "stop"])
def test_a_member_that_diverges_leaves_the_others_untouched(
    tmp_path, whole, policy, capsys, monkeypatch
):
    def poison(trainer):
        module = trainer.lightning_module
        if 1 in module.members and not module.streams.attempts.get(1):
            with torch.no_grad():
                module.pack.slots(1)["fc.weight"].read().fill_(torch.nan)

    if policy == "stop":
        with pytest.raises(ValueError, match=r"member 1 diverged in epoch 2.*on_diverged=drop"):
            train(tmp_path, 7, poison, on_diverged=policy)
        return
    run, _ = train(tmp_path, 7, poison, on_diverged=policy)
    assert "member 1 diverged in epoch 2" in capsys.readouterr().err
    for member in (0, 2):
        assert torch.equal(run.member(member).logits(), whole.member(member).logits())
    notes = run.predictions().notes
    if policy == "drop":
        assert run.finished()[0] == [0, 2]
        assert any("member 1: training diverged in epoch 2; left out" in note for note in notes)
        assert not run.missing()
        return
    assert run.finished()[0] == [0, 1, 2]
    assert not torch.equal(run.member(1).logits(), whole.member(1).logits())
    assert run.member(1).logits().isfinite().all()
    assert any("a later attempt is kept" in note for note in notes)


def test_the_monitor_of_collapse_leaves_out_a_member_that_diverges(tmp_path, whole):
    def poison(trainer):
        module = trainer.lightning_module
        if 1 in module.members:
            with torch.no_grad():
                module.pack.slots(1)["fc.weight"].read().fill_(torch.nan)

    options = {"default_root_dir": tmp_path}
    monitor = NeuralCollapseMonitor(every_n_epochs=1)
    run, _ = train(tmp_path, 7, poison, trainer_args=options, watchers=[monitor])
    assert run.finished()[0] == [0, 2]
    assert torch.equal(run.member(0).logits(), whole.member(0).logits())
    rows = [row.split(",")[:2] for row in (tmp_path / "collapse.csv").read_text().splitlines()[1:]]
    assert rows == [[m, e] for m, e in zip("0100222", "1123123", strict=True)]


def test_a_member_that_always_diverges_is_given_up(tmp_path):
    run, _ = train(tmp_path, lr=1e30, members=2, on_diverged="retry")
    assert run.finished()[0] == []
    assert [len(run.member(m).divergences()) for m in (0, 1)] == [3, 3]
    with pytest.raises(ValueError, match="no member is finished yet"):
        run.predictions()


def optimized_by(make):
    """An `Ensemble` that is optimized by `make(parameters)`, as a user may want it."""

    class Other(Ensemble):
        def optimizer_of_all(self):
            return make(list(self.parameters()))

    return Other


class Two(Ensemble):
    """Lightning itself refuses two optimizers, unless the module steps them."""

    automatic_optimization = False

    def configure_optimizers(self):
        first, *others = self.parameters()
        return [optim.SGD([first], 0.1), optim.Adam(others, 0.1)]


class Unwritable(Ensemble):
    """A tensor among the settings of the schedule."""

    def configure_optimizers(self):
        optimizer = self.optimizer_of_all()
        scheduler = optim.lr_scheduler.ConstantLR(optimizer)
        scheduler.factor = torch.tensor(0.5)
        return [optimizer], [scheduler]


def groups(parameters):
    return [{"params": parameters[:1], "lr": 0.1}, {"params": parameters[1:]}]


@pytest.mark.parametrize(("kind", "message"), [
    (optim.NAdam, r"NAdam: it keeps 'mu_product' of shape \(\) for a parameter of shape \("),
    (optim.Adafactor, r"Adafactor: it keeps 'row_var' of shape \(.*\) for a parameter of"),
    (optim.LBFGS, r"LBFGS: it keeps 'func_evals' \(int\) for a parameter of"),
    (lambda p: optim.SGD(groups(p)), "got SGD with 'hidden.1.weight' in two parameter groups"),
    (lambda p: optim.AdamW(p[1:]), "got AdamW over 11 of 12 parameters"),
    (lambda p: optim.SGD(p[::-1]), "got SGD over them in another order"),
    (lambda p: optim.Adam(p, torch.tensor(0.1)), "settings of Adam as JSON, but 'lr' is Tensor"),
    (Two, "got 2 optimizers: SGD, Adam"),
    (Unwritable, "settings of ConstantLR as JSON, but 'factor' is Tensor"),
])  # fmt: skip
def test_what_cannot_be_cut_by_member_is_refused_by_name(tmp_path, kind, message):
    with pytest.raises(ValueError, match=message) as caught:
        train(tmp_path, kind=kind if kind in (Two, Unwritable) else optimized_by(kind))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("members/*/*"))


def test_another_plan_goes_on_with_the_groups_of_before(tmp_path):
    """Groups are kept by the names of their parameters, which all plans share."""
    arguments = {"bias_lr_factor": 4.0, "momentum": 0.5}
    whole, _ = train(tmp_path / "whole", **arguments)
    train(tmp_path / "run", 7, kill, **arguments)
    folder = RunDirectory(tmp_path / "run").member(1)
    state = folder.load_checkpoint(max(folder.checkpoint_steps()))
    assert [group["params"] for group in state.info["param_groups"]] == [
        ["fc.weight", "hidden.1.weight", "hidden.3.weight"],
        ["fc.bias", "hidden.1.bias", "hidden.3.bias"],
    ]
    run, _ = train(tmp_path / "run", plan="packed", **arguments)
    for member in range(3):
        # rounding of other kernels
        assert torch.allclose(run.member(member).logits(), whole.member(member).logits(), atol=1e-4)


def test_a_checkpoint_of_version_0_1_goes_on(tmp_path, whole):
    train(tmp_path, 7)
    run = RunDirectory(tmp_path)
    for folder in (run.member(0), run.member(1)):
        for step in folder.checkpoint_steps() - {0}:
            state = folder.load_checkpoint(step)
            (group,) = state.info.pop("param_groups")
            del group["params"]
            state.info["param_group"] = group
            folder.save_checkpoint(step, state)
    run, _ = train(tmp_path)
    same(whole, run)


def test_stacked_weights_need_the_same_of_an_optimizer(tmp_path):
    with pytest.raises(ValueError, match=r"keeps 'mu_product' of shape \(\) for a parameter of"):
        train(tmp_path, kind=optimized_by(optim.NAdam), plan="packed")


def halves(parameters):
    """Every other parameter first: weights of all members of an MLP, then their biases."""
    return optim.SGD([{"params": parameters[::2]}, {"params": parameters[1::2], "lr": 0.1}], 0.01)


@pytest.mark.parametrize(
    ("kind", "plan"),
    [
        (lambda p: optim.RMSprop(p, 0.01), "sequential"),
        (lambda p: optim.Adagrad(p, 0.01), "packed"),
        (halves, "sequential"),
    ],
)
def test_optimizers_that_can_be_cut_go_on(tmp_path, kind, plan):
    arguments = {"kind": optimized_by(kind), "plan": plan}
    whole, _ = train(tmp_path / "whole", **arguments)
    train(tmp_path / "run", 7, kill, **arguments)
    run, _ = train(tmp_path / "run", **arguments)
    same(whole, run)
