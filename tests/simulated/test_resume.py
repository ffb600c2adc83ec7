"""A run on the simulated device that is stopped within an epoch and continued."""

import pytest

from tests.simulated.runs import ON_DEVICE, SMALL, check_same, needs_python_backends, root, run

pytestmark = needs_python_backends
STOP = [
    "--trainer.callbacks+=tests.simulated.accelerator.StopInEpoch",
    "--trainer.callbacks.epoch=1",
]
CAN_RESUME = 75  # exit code


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_members():
    kinds = {
        "a": ["--model.optimizer=sgd"],
        "b": ["--model.plan=packed", "--model.optimizer=adamw", "--model.lr=0.01"],
        "c": ["--model.plan=vmap", "--data=tests.simulated.data.Shifted"],
        "d": ["--model.arch=tests.networks.dropping", "--model.width=null"],
    }
    commands = []
    for name, more in kinds.items():
        command = [*SMALL, *ON_DEVICE, "--trainer.precision=64-true", *more]
        stopped = [*command, root(f"stopped-{name}")]
        commands += [[*command, root(name)], [*stopped, *STOP], stopped]
    ends = [told["stopped"] for told in run(*commands)]
    assert ends == [None, CAN_RESUME, None] * len(kinds)
    for name in kinds:
        check_same(name, f"stopped-{name}", tolerance=0)
