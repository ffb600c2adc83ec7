"""Members trained on the simulated device are those of the CPU."""

import pytest

from tests.simulated.runs import (
    ON_CPU,
    ON_DEVICE,
    SMALL,
    check_same,
    needs_python_backends,
    root,
    run,
)

pytestmark = [needs_python_backends, pytest.mark.xdist_group("plans")]  # one makes the runs
OPTIMIZERS = ("sgd", "adamw")
QUICK = [("sequential", "sgd"), ("packed", "adamw")]
OTHERS = [("sequential", "adamw"), ("packed", "sgd"), ("vmap", "sgd"), ("vmap", "adamw")]
DOUBLE = "--trainer.precision=64-true"
OPTIONS = {
    "dropout": ["--model.arch=tests.networks.dropping", "--model.width=null"],
    "group norm": ["--model.arch=tests.networks.grouped", "--model.width=null"],
    "augmented": ["--data=tests.simulated.data.Shifted"],
    "own data": ["--data.label_noise=0.1", "--data.label_noise_of=member"],
    "bootstrap": ["--model.randomness.bootstrap=member"],
    "loss": ["--model.loss=squared_error", "--model.label_smoothing=0.1"],
    "schedule": ["--model.schedule=cosine", "--model.momentum=0"],
    "accumulated": ["--trainer.accumulate_grad_batches=2"],
    "clipped": ["--trainer.gradient_clip_val=0.01", "--trainer.gradient_clip_algorithm=value"],
    "cut": ["--trainer.max_steps=7"],
    "one member": ["--model.members=1"],
    "packs": ["--model.pack_size=2"],
    "usual steps": ["--model.graph=off"],
    "deterministic": ["--trainer.deterministic=true"],
}
"""Options that change what is computed, or how a step is made."""


def optimized(optimizer):
    return [f"--model.optimizer={optimizer}", *(["--model.lr=0.01"] * (optimizer == "adamw"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("members")


def on_device(folder, cases):
    return [
        [*SMALL, *ON_DEVICE, DOUBLE, *optimized(o), f"--model.plan={plan}", root(folder / plan / o)]
        for plan, o in cases
    ]


@pytest.fixture(scope="module")
def plans(folder):
    """Two plans on the device, and `sequential` with both optimizers on the CPU."""
    cpu = [[*SMALL, *ON_CPU, DOUBLE, *optimized(o), root(folder / o)] for o in OPTIMIZERS]
    return run(*on_device(folder, QUICK), *cpu)


@pytest.fixture(scope="module")
def other_plans(folder, plans):
    run(*on_device(folder, OTHERS))


@pytest.mark.parametrize(("plan", "optimizer"), QUICK)
def test_plans_and_optimizers(plans, folder, plan, optimizer):
    check_same(folder / plan / optimizer, folder / optimizer, tolerance=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(("plan", "optimizer"), OTHERS)
def test_other_plans_and_optimizers(other_plans, folder, plan, optimizer):
    check_same(folder / plan / optimizer, folder / optimizer, tolerance=1e-8)


def test_it_is_the_device_that_computes_and_nothing_is_left_in_its_memory(plans):
    *on_device, one, other = plans
    assert all(told["launches"]["convolution"] > 0 for told in on_device)
    assert all(told["live_bytes"] == 0 for told in on_device)
    assert one["launches"] == other["launches"] == {}


@pytest.fixture(scope="module")
def options(folder):
    places = [(ON_DEVICE, "device"), (ON_CPU, "cpu")]
    run(
        *[
            [*SMALL, *where, DOUBLE, *more, root(folder / place / name)]
            for name, more in OPTIONS.items()
            for where, place in places
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_options(options, folder, name):
    check_same(folder / "device" / name, folder / "cpu" / name, tolerance=1e-8)


@pytest.mark.slow
def test_lower_precisions_are_near(folder):
    """bf16 has 8 bits; ten steps of two networks that round differently drift apart."""
    mixed = "--trainer.precision=bf16-mixed"
    run(
        [*SMALL, *ON_CPU, root(folder / "cpu32")],
        [*SMALL, *ON_DEVICE, root(folder / "32")],
        [*SMALL, *ON_DEVICE, mixed, root(folder / "16")],
        [*SMALL, *ON_DEVICE, mixed, "--model.plan=packed", root(folder / "packed")],
    )
    check_same(folder / "32", folder / "cpu32", tolerance=1e-4)
    for mixed in ("16", "packed"):
        check_same(folder / mixed, folder / "32", tolerance=0.05)
        with pytest.raises(AssertionError):
            check_same(folder / mixed, folder / "32", tolerance=1e-4)


@pytest.mark.slow
def test_deterministic_runs_repeat_and_refuse_what_cuda_refuses():
    strict = [*SMALL, *ON_DEVICE, "--trainer.deterministic=true"]
    adaptive = ["--model.arch=tests.ensemble.test_deterministic.pooled", "--model.width=null"]
    *_, refused = run(
        [*strict, root("one")], [*strict, root("two")], [*strict, *adaptive, root("three")]
    )
    check_same("one", "two", tolerance=0)
    assert "PyTorch has no deterministic _adaptive_avg_pool2d_backward" in refused["stopped"]
