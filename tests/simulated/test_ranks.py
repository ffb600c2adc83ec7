"""Ranks with a simulated device each: three members on two, so that one has none in the end."""

from tests.simulated.runs import SMALL, check_same, needs_python_backends, root, run

pytestmark = needs_python_backends
OPTIONS = [*SMALL, "--trainer.precision=64-true", "--model.pack_size=1"]


def test_members_of_two_ranks_are_those_of_one_process(bvalign):
    device = ["--trainer.accelerator=simulated", "--trainer.devices=2"]
    ranks = run([*OPTIONS, *device, root("ranks")], ranks=2)
    assert [told["stopped"] for told in ranks] == [None, None]
    bvalign(*OPTIONS, "--trainer.accelerator=cpu", root("cpu"))
    check_same("ranks", "cpu", tolerance=1e-8)
    assert all(told["live_bytes"] == 0 for told in ranks)
