"""What a fit on the simulated device may cost: waits, copies, launches and memory.

Costs of a step are differences between runs of the same samples in twice as many batches.
"""

import pytest

from tests.simulated.runs import ON_DEVICE, SMALL, needs_python_backends, root, run

pytestmark = [needs_python_backends, pytest.mark.xdist_group("budgets")]  # one makes the runs


def tell(folder, runs):
    """What happened in runs by name."""
    commands = [
        [*SMALL, *ON_DEVICE, *more, root(folder / str(n))] for n, more in enumerate(runs.values())
    ]
    return dict(zip(runs, run(*commands), strict=True))


def in_batches(plan, members):
    """Runs in ten steps and in twenty: (plan, members, batch size)."""
    size = [f"--model.{option}={members}" for option in ("members", "pack_size")]
    return {
        (plan, members, batch): [f"--model.plan={plan}", *size, f"--data.batch_size={batch}"]
        for batch in (20, 10)
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    runs = in_batches("sequential", 3) | in_batches("packed", 3) | in_batches("packed", 5)
    runs["twice the test"] = ["--data.num_test=114"]
    runs["waves"] = ["--model.members=9", "--model.plan=packed"]
    return tell(tmp_path_factory.mktemp("budgets"), runs)


def more(told, kind, one, other):
    """What a run has more of than another, by name."""
    a, b = told[one][kind], told[other][kind]
    names = sorted(a.keys() | b.keys())
    return {n: a.get(n, 0) - b.get(n, 0) for n in names if a.get(n, 0) != b.get(n, 0)}


def check_steps(told, plan):
    runs = (plan, 3, 10), (plan, 3, 20)
    assert more(told, "launches", *runs)["_fused_sgd_"] == (30 if plan == "sequential" else 10)
    assert more(told, "waits", *runs) == {}
    (rates,) = more(told, "copied", *runs).values()
    assert rates == 10 * 8  # the learning rates of a fit are copied before its first step


@pytest.mark.parametrize("plan", ["sequential", "packed"])
def test_a_training_step_waits_for_nothing_and_copies_nothing(told, plan):
    check_steps(told, plan)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "more"),
    [
        ("vmap", []),
        ("packed", ["--data=tests.simulated.data.Shifted"]),
        ("sequential", ["--trainer.precision=bf16-mixed"]),
    ],
)
def test_steps_of_other_fits_neither_wait_nor_copy(tmp_path, plan, more):
    runs = {name: [*words, *more] for name, words in in_batches(plan, 3).items()}
    check_steps(tell(tmp_path, runs), plan)


def test_launches_of_a_packed_step_do_not_depend_on_the_number_of_members(told):
    three, five = (more(told, "launches", ("packed", m, 10), ("packed", m, 20)) for m in (3, 5))
    assert three == five


def test_evaluation_copies_logits_and_their_rows_once(told):
    copied = more(told, "copied", "twice the test", ("sequential", 3, 20))
    logits, index, image, target = 3 * 10 * 4, 8, 64, 8  # bytes of a sample
    to_host = sum(size for name, size in copied.items() if name.startswith("to host"))
    to_device = sum(size for name, size in copied.items() if name.startswith("to device"))
    assert to_host == 57 * (logits + index)
    assert to_device % (57 * (image + target)) == 0
    assert more(told, "waits", "twice the test", ("sequential", 3, 20)) == {}


def test_memory_is_the_same_in_every_wave(told):
    """But for a byte per member and sample, which the metric of all members has seen."""
    _, second, third = told["waves"]["waves"]  # the first one had no test before
    for before, after in zip(second, third, strict=True):
        assert 3 * 57 <= after - before < 3 * 57 + 1000
    assert told["waves"]["live_bytes"] == 0
