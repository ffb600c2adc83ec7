"""Every plan computes what the members do alone; a trial chooses, and a run remembers."""

import json
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from bvalign import Ensemble
from bvalign.commands.waves import _steps
from bvalign.data import Digits
from bvalign.data.loader import MemberSchedule
from bvalign.ensemble.plans import PLANS, make_pack, plans_on
from bvalign.ensemble.trial import Choice, _trial, choose_plan
from bvalign.predictions import RunDirectory
from bvalign.predictions.run.claims import settle_plan
from bvalign.randomness import Streams
from tests.networks import NETWORKS, batches, ensemble, quiet_trainer, trained

STACKED = [(name, plan) for name in NETWORKS for plan in ("packed", "vmap")]
STACKED = [(n, p) for n, p in STACKED if p == "vmap" or n not in ("vit", "text")]
HERE = plans_on(torch.device("cpu"))
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "plan"), STACKED)
def test_plans_agree_in_weights_momentum_and_buffers(name, plan, device):
    found, optimizer = trained(ensemble(plan, **NETWORKS[name]), 20, device)
    expected, reference = trained(ensemble("sequential", **NETWORKS[name]), 20, device)
    for member in found.members:
        here, there = found.pack.network_weights(member), expected.pack.network_weights(member)
        assert list(here) == list(there)
        for key in there:
            # 20 steps in float64
            assert torch.allclose(here[key], there[key], rtol=0, atol=1e-8), key
        for key, slot in expected.pack.slots(member).items():
            parameter, row = found.pack.slots(member)[key]
            momentum = optimizer.state[parameter]["momentum_buffer"][row]
            alone = reference.state[slot.tensor]["momentum_buffer"]
            assert torch.allclose(momentum, alone, rtol=0, atol=1e-8), key
    input = next(batches(found, 1))[0].to(device)
    logits = [module.eval()(input) for module in (found, expected)]
    assert torch.allclose(*logits, rtol=0, atol=1e-8)


def test_running_statistics_are_each_members_own():
    for plan in ("packed", "vmap"):
        module, _ = trained(ensemble(plan, **NETWORKS["cnn"]), 5)
        first, second = (module.pack.network_weights(m) for m in module.members[:2])
        assert first["body.1.num_batches_tracked"] == 5
        assert not torch.allclose(first["body.1.running_mean"], second["body.1.running_mean"])


@pytest.mark.parametrize(("name", "plan"), STACKED)
def test_a_batch_of_one_member_leaves_the_others_gradients_alone(name, plan):
    module = ensemble(plan, **NETWORKS[name])
    input, target = next(batches(module, 1, dtype=torch.float32))
    gradients = []
    for change in (False, True):
        batch = input.clone()
        if change:
            batch[1] = batch[1].flip(0)
            batch[1, 0] = 0
        module.zero_grad()
        module.on_train_epoch_start()
        module.training_step((batch, target, target), 0).backward()
        slots = [module.pack.slots(m) for m in module.members]
        gradients.append([[s.tensor.grad[s.row].clone() for s in own.values()] for own in slots])
    for row, same in ((0, True), (1, False), (2, True)):
        pairs = zip(gradients[0][row], gradients[1][row], strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == same


@pytest.mark.parametrize("plan", HERE)
def test_weights_go_out_and_in_under_the_networks_names(plan):
    module = ensemble(plan, **NETWORKS["cnn"])
    pack, parameters = module.pack, dict(module.named_parameters())
    network = module.initial_network(1)
    assert list(pack.network_weights(1)) == list(network.state_dict())
    assert list(pack.slots(1)) == [name for name, _ in network.named_parameters()]
    for name, slot in pack.slots(1).items():
        assert any(slot.tensor is parameter for parameter in parameters.values())
        assert torch.equal(slot.read(), network.get_parameter(name))
    others = {m: {k: v.clone() for k, v in pack.network_weights(m).items()} for m in (4, 7)}
    fresh = module.initial_network(2).state_dict() | {"fc.bias": torch.arange(10.0)}
    pack.load(1, fresh)
    assert all(torch.equal(v, fresh[k]) for k, v in pack.network_weights(1).items())
    for member, before in others.items():
        assert all(torch.equal(v, before[k]) for k, v in pack.network_weights(member).items())
    image = torch.randn(2, 1, 8, 8)
    module.eval()
    alone = pack.network(1)
    assert not alone.training
    logits = module(image.expand(3, -1, -1, -1, -1))[1]
    assert torch.allclose(alone(image), logits, atol=1e-5)
    with pytest.raises(ValueError, match="1 differ, the first is 'fc.weight'"):
        pack.load(1, {k: v for k, v in fresh.items() if k != "fc.weight"})


def test_evaluation_in_parts_is_evaluation():
    whole = ensemble("sequential", **NETWORKS["cnn"]).eval()
    for plan in ("packed", "vmap"):
        module = ensemble(plan, **NETWORKS["cnn"]).eval()
        image = torch.randn(3, 11, 1, 8, 8)  # 11 samples in parts of three
        assert torch.allclose(module(image), whole(image), atol=1e-5)


@pytest.mark.parametrize(
    ("arch", "plan", "message"),
    [
        ("tests.networks.mixing", "packed", "cannot run Sequential (members get other logits"),
        ("tests.networks.drawing", "packed", "cannot run Sequential (members get other logits"),
        ("tests.networks.drawing", "vmap", "cannot run Sequential (RuntimeError: "),
        ("tests.networks.dropping", "packed", "plan=sequential, got Dropout at '1'"),
        ("tests.networks.dropping", "vmap", "plan=sequential, got Dropout at '1'"),
        ("convnext_atto", "packed", "got LayerNorm2d at 'stem.1'; use --model.plan=vmap or seq"),
    ],
)
def test_what_a_plan_cannot_run_is_said_in_a_line(arch, plan, message):
    shape = (3, 32, 32) if arch == "convnext_atto" else (1, 8, 8)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is checked below)
        ensemble(plan, arch, image_shape=shape)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_plan_is_refused():
    with pytest.raises(
        ValueError, match="must be one of sequential, packed, vmap, triton, got 'fast'"
    ):
        make_pack("fast", (0,), lambda member: nn.Linear(4, 3), (1, 2, 2))


def test_sequential_runs_what_the_others_refuse():
    for arch in ("tests.networks.mixing", "tests.networks.drawing", "tests.networks.dropping"):
        module = ensemble("sequential", arch)
        assert module(torch.randn(3, 2, 1, 8, 8)).shape == (3, 2, 10)


@pytest.mark.parametrize("plan", HERE)
@pytest.mark.parametrize("name", ["mlp", "cnn", "vit"])
def test_bfloat16_trains_and_evaluates_in_float32(name, plan):
    if (name, plan) == ("vit", "packed"):
        return
    module = Ensemble(10, (1, 8, 8), members=2, plan=plan, lr=0.05, **NETWORKS[name])
    trainer = quiet_trainer(precision="bf16-mixed", max_steps=3, limit_val_batches=0)
    trainer.fit(module, Digits(batch_size=20, num_train=100, num_test=20))
    assert module.train_loss().dtype == torch.float32
    batch = (torch.randn(5, 1, 8, 8), torch.zeros(5, dtype=torch.int64), torch.arange(5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = module.eval().test_step(batch, 0)["logits"]
    assert logits.dtype == torch.float32
    assert torch.equal(logits, module.test_step(batch, 0)["logits"])


def test_clipping_by_value_works_with_every_precision():
    for precision in ("32-true", "bf16-mixed"):
        module = Ensemble(10, (1, 8, 8), arch="mlp", members=2, plan="packed")
        clip = {"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value"}
        trainer = quiet_trainer(precision=precision, max_steps=2, limit_val_batches=0, **clip)
        trainer.fit(module, Digits(batch_size=20, num_train=100, num_test=20))
        assert np.isfinite(module.train_loss().numpy()).all()


def test_the_trial_times_what_runs_and_says_what_does_not():
    module = Ensemble(10, (1, 8, 8), members=4, pack_size=2, **NETWORKS["vit"])
    choice = choose_plan(
        module, module.members[: module.pack_size], 8, quiet_trainer(precision="bf16-mixed")
    )
    assert choice.plan in ("sequential", "vmap")
    assert set(choice.seconds) == {"sequential", "vmap"}
    assert choice.refused.keys() == {"packed"}
    assert choice.reason.startswith("ms per step of 2 members: ")
    assert choice.reason.endswith("; not packed")
    json.dumps(choice._asdict())
    assert (module.plan, module.members, module.pack) == ("auto", (0, 1, 2, 3), None)


def test_only_what_can_be_chosen_is_timed():
    module = Ensemble(10, (1, 8, 8), arch="mlp", plan="vmap")
    assert choose_plan(module, (0, 1), 8, quiet_trainer()).seconds.keys() == {"vmap"}
    module = Ensemble(10, (1, 8, 8), arch="mlp")
    assert choose_plan(module, (0,), 8, quiet_trainer()).seconds.keys() == {"sequential"}
    module = Ensemble(10, (1, 8, 8), arch="tests.networks.dropping", plan="vmap")
    with pytest.raises(ValueError, match="plan=sequential, got Dropout at '1'"):
        choose_plan(module, (0, 1), 8, quiet_trainer())
    torch.use_deterministic_algorithms(True)
    try:
        choice = choose_plan(Ensemble(10, (1, 8, 8)), (0, 1), 8, quiet_trainer())
    finally:
        torch.use_deterministic_algorithms(False)
    assert choice == Choice("sequential", "deterministic runs do not time plans")


@pytest.mark.parametrize(
    ("alone", "members", "enough"),
    [  # seconds of the trial, over a fifth, over those of a step of all members
        (0.001, 8, 3 * 3 * 0.2 / 0.2 / 0.008),
        (0.004, 16, 3 * 3 * 0.2 / 0.2 / 0.064),
        (0.05, 4, 3 * 3 * 0.2 / 0.2 / 0.2),  # three plans of three steps
    ],
)
def test_plans_are_timed_where_that_takes_a_fifth_of_the_training_at_most(alone, members, enough):
    asked = []

    def timed(plan, pack, least):
        asked.append((plan, len(pack), least))
        return alone * len(pack) / (2 if plan == "packed" else 1)

    plans, pack = ["sequential", "packed", "vmap"], tuple(range(members))
    choice = _trial(timed, plans, pack, enough - 1)
    assert asked == [("sequential", 1, 0.05), ("sequential", members, 0.05)]
    assert (choice.plan, choice.untimed_steps) == ("sequential", int(enough - 1))
    assert choice.reason.endswith("; the training is too short to time other plans")
    choice = _trial(timed, plans, pack, enough + 1)
    assert {plan for plan, size, _ in asked if size == members} == set(plans)
    assert (choice.plan, choice.untimed_steps) == ("packed", 0)
    assert _trial(timed, ["vmap"], pack, 1).untimed_steps == 0  # asked for, not chosen


def fitted(steps_at_once, plan, precision, **trainer):
    module = Ensemble(10, (1, 8, 8), arch="cnn", width=4, members=2, plan=plan, lr=0.05)
    module.steps_at_once = steps_at_once
    trainer = quiet_trainer(precision=precision, **trainer)
    trainer.fit(module, Digits(batch_size=20, num_train=150, num_test=20))
    return module, trainer


@pytest.mark.parametrize(
    ("plan", "precision"), [("packed", "64-true"), ("sequential", "bf16-mixed")]
)
def test_steps_that_come_as_one_batch_are_the_same_steps(plan, precision):
    expected, reference = fitted(1, plan, precision, max_epochs=3)
    for steps_at_once in (2, 3, 64):  # seven steps in an epoch
        found, trainer = fitted(steps_at_once, plan, precision, max_epochs=3)
        assert trainer.num_training_batches == -(-7 // steps_at_once)
        assert trainer.global_step == reference.global_step == 21
        for member in (0, 1):
            here, there = found.pack.network_weights(member), expected.pack.network_weights(member)
            assert all(torch.equal(here[key], there[key]) for key in there)
        assert torch.equal(found.train_loss(), expected.train_loss())
        lr = [t.optimizers[0].param_groups[0]["lr"] for t in (trainer, reference)]
        assert lr[0] == lr[1]


def test_several_steps_in_a_batch_go_on_within_an_epoch():
    schedule = MemberSchedule(150, [0], Streams(0), 20, start=(2, 1), steps_at_once=3)
    assert (len(schedule), schedule.num_steps) == (3, 7)
    assert list(schedule.steps()) == [slice(0, 60), slice(60, 120), slice(120, 140)]
    schedule.set_epoch(2)
    assert list(schedule.steps()) == [slice(60, 120), slice(120, 140)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"accumulate_grad_batches": 2},
        {"gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"},
        {"limit_train_batches": 3},
        {"max_steps": 5},
        {"max_epochs": -1},
        {"val_check_interval": 0.5},
    ],
)
def test_what_counts_batches_gets_one_step_in_each(arguments):
    module = Ensemble(10, (1, 8, 8), arch="mlp", width=8, plan="packed")
    some = choose_plan(module, (0, 1), 8, quiet_trainer(max_epochs=2))
    assert some.steps_at_once > 1
    trainer = quiet_trainer(**{"max_epochs": 2} | arguments)
    assert choose_plan(module, (0, 1), 8, trainer).steps_at_once == 1


def test_a_trial_leaves_the_global_random_numbers_alone():
    before = torch.get_rng_state()
    choice = choose_plan(
        Ensemble(10, (1, 8, 8), "tests.networks.dropping"), (0, 1), 8, quiet_trainer()
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert choice.plan == "sequential"
    assert choice.refused.keys() == {"packed", "vmap"}


def test_many_tiny_members_are_not_trained_one_after_another():
    module = Ensemble(10, (1, 8, 8), arch="mlp", width=8, members=32, pack_size=32)
    assert (
        choose_plan(module, module.members[: module.pack_size], 8, quiet_trainer()).plan
        != "sequential"
    )


def test_a_pack_that_fits_nowhere_is_refused(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate\nmuch")

    monkeypatch.setattr(PLANS["packed"], "forward", full)
    monkeypatch.setattr(PLANS["vmap"], "forward", full)
    module = Ensemble(10, (1, 8, 8), arch="mlp", members=2)
    assert (
        choose_plan(module, module.members[: module.pack_size], 8, quiet_trainer()).plan
        == "sequential"
    )
    alone = PLANS["sequential"].forward
    for limit, message in (
        (1, "2 members do not fit into memory .*; use a smaller --model.pack_size"),
        (0, "one member does not fit into memory .*; use a smaller --data.batch_size"),
    ):

        def limited(pack, input, limit=limit):
            return alone(pack, input) if len(pack.members) <= limit else full()

        monkeypatch.setattr(PLANS["sequential"], "forward", limited)
        with pytest.raises(ValueError, match=message):
            choose_plan(module, (0, 1), 8, quiet_trainer())


def test_a_run_keeps_its_plan_until_another_is_asked_for(tmp_path):
    run = RunDirectory.open(tmp_path, {}, 2, 1, {})
    asked = []

    def settled(wanted, chosen):
        choice = {"plan": chosen, "reason": "quick", "steps_at_once": 1}
        settled = settle_plan(run, wanted, lambda: asked.append(wanted) or choice, device="cpu")
        return settled["plan"]

    assert settled("auto", "packed") == "packed"
    assert settled("auto", "vmap") == settled("packed", "packed") == "packed"
    assert settled("vmap", "vmap") == settled("auto", "packed") == "vmap"
    assert asked == ["auto", "vmap"]
    assert [plan["plan"] for plan in RunDirectory(tmp_path).info["plans"]] == ["packed", "vmap"]


def test_each_kind_of_device_has_a_plan_of_its_own(tmp_path):
    run = RunDirectory.open(tmp_path, {}, 2, 1, {})

    def settled(device, seconds, wanted="auto"):
        choice = Choice(wanted.replace("auto", "packed"), f"{seconds} s")._asdict()
        return settle_plan(run, wanted, lambda: choice, device=device)

    assert settled("cpu x86_64", 1)["reason"] == settled("cpu x86_64", 2)["reason"] == "1 s"
    anew = settled("cuda H100", 3)
    assert anew["reason"] == "chosen anew on cuda H100, before on cpu x86_64; 3 s"
    assert anew["device"] == "cuda H100"
    assert settled("cuda H100", 4) == anew
    assert settled("cuda A100", 5)["reason"].endswith("; 5 s")
    assert settled("cpu x86_64", 6)["reason"] == "1 s"  # what was timed there is kept
    assert settled("cuda H100", 7, "vmap")["reason"] == "7 s"
    assert settled("cuda H100", 8)["plan"] == "vmap"
    assert settled("cpu x86_64", 9)["plan"] == "packed"
    devices = [plan["device"] for plan in RunDirectory(tmp_path).info["plans"]]
    assert devices == ["cpu x86_64", "cuda H100", "cuda A100", "cuda H100"]


def test_a_plan_of_an_older_run_holds_on_every_device(tmp_path):
    run = RunDirectory.open(tmp_path, {}, 2, 1, {})
    settle_plan(run, "auto", lambda: Choice("packed", "as it was")._asdict(), device="cpu")
    del run.info["plans"][0]["device"]
    (tmp_path / "run.json").write_text(json.dumps(run.info))
    assert settle_plan(run, "auto", dict, device="cuda H100")["reason"] == "as it was"


def test_fit_chooses_anew_on_another_device(fit, capsys, tmp_path, monkeypatch):
    folder = f"--trainer.default_root_dir={tmp_path / 'run'}"
    fit("--model.members=1", folder)
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    capsys.readouterr()
    fit("--model.members=2", folder)
    line = r"plan sequential \(chosen anew on cpu arm64, before on cpu [^;]+; ms per step of 1"
    assert re.search(line, capsys.readouterr().err)
    fit("--model.members=3", folder)
    assert "plan sequential (chosen anew" in capsys.readouterr().err  # the reason of the record
    assert len(RunDirectory(tmp_path / "run").info["plans"]) == 2


def test_a_run_that_was_too_short_for_a_trial_gets_one_when_it_has_grown(tmp_path):
    run = RunDirectory.open(tmp_path, {}, 2, 1, {})
    asked = []

    def settled(steps, untimed_steps, wanted="auto"):
        choice = {"plan": f"of {steps}", "reason": "", "untimed_steps": untimed_steps}
        settled = settle_plan(
            run, wanted, lambda: asked.append(steps) or choice, device="cpu", steps=steps
        )
        return settled["plan"]

    assert settled(10, 10) == settled(10, 10) == settled(10, 10, "of 10") == "of 10"
    assert settled(20, 20) == "of 20"
    assert settled(30, 0) == settled(40, 0) == "of 30"
    assert asked == [10, 20, 30]


def test_a_plan_is_no_part_of_what_a_run_is():
    first, second = (Ensemble(10, (1, 8, 8), plan=plan) for plan in ("packed", "vmap"))
    assert first.identity() == second.identity()


def test_fit_times_the_plans_once(fit, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("bvalign.ensemble.trial.SHARE", math.inf)
    for members in (2, 4):
        fit("--model.plan=auto", "--model.pack_size=2", f"--model.members={members}")
        (plan,) = json.loads((tmp_path / "runs/digits-mlp/run.json").read_text())["plans"]
        assert plan["seconds"].keys() == {"sequential", "packed", "vmap"}
        said = f"plan {plan['plan']} (ms per step of 2 members: "
        assert said in capsys.readouterr().err


def test_a_short_fit_times_no_plans(fit, tmp_path):
    fit("--model.plan=auto", "--model.pack_size=2", "--model.members=4")
    (plan,) = json.loads((tmp_path / "runs/digits-mlp/run.json").read_text())["plans"]
    assert plan["seconds"].keys() == {"sequential"}
    assert plan["untimed_steps"] == 2 * 2 * 5  # packs, epochs, steps of 20 of 100 samples


@pytest.mark.parametrize(
    ("trainer", "steps"),
    [
        ({"max_epochs": 2}, 2 * 7),
        ({"max_epochs": 2, "limit_train_batches": 3}, 2 * 3),
        ({"max_epochs": 2, "limit_train_batches": 0.5}, 2 * 3),
        ({"max_epochs": 2, "max_steps": 5}, 5),
        ({"max_epochs": -1}, math.inf),
    ],
)
def test_steps_of_a_fit_are_counted_by_hand(trainer, steps):
    data = Digits(batch_size=20, num_train=150)  # seven whole batches
    data.setup()
    module = Ensemble(10, (1, 8, 8), arch="mlp")
    assert _steps(3, module, data, quiet_trainer(**trainer)) == 3 * steps


def test_make_pack_takes_any_function_that_creates_networks():
    def create(member):
        torch.manual_seed(member)
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))

    input = torch.randn(2, 5, 1, 2, 2)
    packs = [make_pack(plan, (0, 1), create, (1, 2, 2)) for plan in HERE]
    expected = torch.stack([create(m)(input[m]) for m in (0, 1)])
    assert all(torch.allclose(pack(input), expected, atol=1e-6) for pack in packs)


def test_dropout_is_each_members_own():
    """The same masks alone and beside others, other masks in every step, global streams at rest."""
    pair, alone = (
        Ensemble(3, (1, 8, 8), arch="tests.networks.dropping", plan="sequential", members=2)
        for _ in range(2)
    )
    alone.assign([1])
    input, target = torch.randn(2, 6, 1, 8, 8), torch.zeros(2, 6, dtype=torch.int64)
    losses = []
    for module, here in ((pair, slice(None)), (alone, slice(1, 2))):
        module.configure_model()
        module.on_train_epoch_start()
        before = torch.get_rng_state()
        for _ in range(2):
            module.training_step((input[here], target[here], target[here]), 0)
            losses.append(module.loss_sum[-1].clone())
        assert torch.equal(torch.get_rng_state(), before)
    assert losses[:2] == losses[2:]
    assert losses[1] != 2 * losses[0]
