"""Members trained on the simulated device are those of the CPU."""

from tests.simulated.runs import (
    ON_CPU,
    ON_DEVICE,
    SMALL,
    check_same,
    needs_python_backends,
    root,
    run,
)

pytestmark = needs_python_backends


def test_a_fit_on_the_device_gives_the_members_of_the_cpu():
    precise = "--trainer.precision=64-true"
    device, cpu = run(
        [*SMALL, *ON_DEVICE, precise, root("device")], [*SMALL, *ON_CPU, precise, root("cpu")]
    )
    check_same("device", "cpu", tolerance=1e-8)
    assert device["launches"]["convolution"] > 0
    assert device["live_bytes"] == 0
    assert not cpu["launches"]
