"""What a fit on the simulated device may cost: waits, copies, launches and memory.

Costs of a step are differences between runs of the same samples in twice as many batches.
"""

import pytest

from tests.simulated.runs import ON_DEVICE, SMALL, needs_python_backends, root, run

pytestmark = needs_python_backends
PLANS, MEMBERS = ("sequential", "packed", "vmap"), (3, 5)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What happened in runs by name: (plan, members, batch size), or another."""
    runs = {
        (plan, members, size): [
            f"--model.plan={plan}",
            *(f"--model.{option}={members}" for option in ("members", "pack_size")),
            f"--data.batch_size={size}",
        ]
        for plan in PLANS
        for members in (MEMBERS if plan == "packed" else MEMBERS[:1])
        for size in (20, 10)
    }
    runs["twice the test"] = ["--data.num_test=114"]
    runs["waves"] = ["--model.members=8", "--model.plan=packed"]
    folder = tmp_path_factory.mktemp("budgets")
    commands = [
        [*SMALL, *ON_DEVICE, *more, root(folder / str(n))] for n, more in enumerate(runs.values())
    ]
    return dict(zip(runs, run(*commands), strict=True))


def more(told, kind, one, other):
    """What a run has more of than another, by name."""
    a, b = told[one][kind], told[other][kind]
    names = sorted(a.keys() | b.keys())
    return {n: a.get(n, 0) - b.get(n, 0) for n in names if a.get(n, 0) != b.get(n, 0)}


@pytest.mark.parametrize("plan", PLANS)
def test_a_training_step_waits_for_nothing_and_copies_nothing(told, plan):
    runs = (plan, 3, 10), (plan, 3, 20)
    assert more(told, "launches", *runs)["_fused_sgd_"] == 10
    assert more(told, "waits", *runs) == {}
    assert more(told, "copied", *runs) == {}


def test_launches_of_a_packed_step_do_not_depend_on_the_number_of_members(told):
    three, five = (more(told, "launches", ("packed", m, 10), ("packed", m, 20)) for m in MEMBERS)
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
    before, after = zip(*told["waves"]["waves"], strict=True)
    assert len(before) == 3
    assert before[1] == before[2]
    assert after[0] == after[1] > after[2]  # two members are left
    assert told["waves"]["live_bytes"] == 0
