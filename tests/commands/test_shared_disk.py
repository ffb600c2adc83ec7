"""One run on two machines whose disk has no locks, or locks that each machine has for itself."""

import json
import os
import signal
import threading
from collections import defaultdict
from contextlib import contextmanager

import pytest
from safetensors.torch import load_file

from bvalign.predictions import RunDirectory
from tests.machines import machines, until
from tests.processes import TINY

pytestmark = pytest.mark.slow

EPOCHS = 30
OPTIONS = [*TINY, f"--trainer.max_epochs={EPOCHS}", "--model.members=4", "--model.pack_size=2"]
OPTIONS += [
    "--checkpoints.seconds=0",
    "--trainer.logger=false",
    "--trainer.enable_progress_bar=false",
]


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    with machines(tmp_path_factory.mktemp("said")) as two:
        yield two


@pytest.fixture
def fit(forked, tmp_path):
    """Starts a fit of one run on a machine, whose name says which test it is in."""

    def start(machine, root="run", locks="local"):
        name = f"{tmp_path.name}-{machine}"
        options = [*OPTIONS, f"--trainer.default_root_dir={tmp_path / root}"]
        return name, forked.start(name, "fit", *options, locks=locks)

    return start


@pytest.fixture(scope="module")
def alone(forked, tmp_path_factory):
    """Files of members that one machine has trained alone."""
    root = tmp_path_factory.mktemp("alone") / "run"
    pid = forked.start("alone", "fit", *OPTIONS, f"--trainer.default_root_dir={root}")
    assert forked.end(pid) == 0, forked.said("alone")
    return results(root)


def results(root):
    """What members have at the end; safetensors writes its metadata in any order."""
    tensors = [*root.glob("members/*/weights.*"), *root.glob("members/*/logits.*")]
    kept = {path: {k: v.tolist() for k, v in load_file(path).items()} for path in tensors}
    kept |= {path: path.read_text() for path in root.glob("members/*/history.csv")}
    assert len(kept) == 3 * 4
    return {str(path.relative_to(root)): content for path, content in kept.items()}


def holders(root):
    """How often each pack was taken."""
    numbers = [path.name.split(".") for path in root.glob("packs/[!.]*.[0-9]*")]
    return {pack: int(number) for pack, number in numbers}


@contextmanager
def written(root):
    """Collects the times at which the logits of each member were written, while the block runs."""
    files, ended = defaultdict(set), threading.Event()

    def watch():
        while not ended.wait(0.01):
            for path in root.glob("members/*/logits.safetensors"):
                files[path].add(path.stat().st_mtime_ns)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield files
    finally:
        ended.set()
        thread.join()


def training(root):
    """A member whose training has gone on for a while."""
    paths = [*root.glob("members/*/checkpoint-*.safetensors")]
    return [path.parent.name for path in paths if int(path.stem.partition("-")[2]) >= 20]


@pytest.mark.parametrize("locks", ["none", "local"])
def test_two_that_start_at_once_train_each_member_once(forked, fit, alone, tmp_path, locks):
    root = tmp_path / "run"
    with written(root) as files:
        both = [fit(machine, locks=locks) for machine in ("a", "b")]
        for name, pid in both:
            assert forked.end(pid) == 0, forked.said(name)
    assert results(root) == alone
    assert {path: len(found) for path, found in files.items()} == dict.fromkeys(files, 1)
    assert len(files) == 4
    assert holders(root).keys() == {"000", "001"}  # one may be taken again, and found finished
    run = json.loads((root / "run.json").read_text())
    assert (run["packs"], len(run["plans"]), run["report"]["number"]) == ([[0, 1], [2, 3]], 1, 1)


def test_a_machine_that_was_taken_for_dead_saves_nothing_more(forked, fit, alone, tmp_path):
    root = tmp_path / "run"
    name, stopped = fit("a")
    until(lambda: training(root))
    os.kill(stopped, signal.SIGSTOP)
    other, pid = fit("b")
    until(lambda: holders(root).get("000") == 2)
    os.kill(stopped, signal.SIGCONT)
    assert forked.end(stopped) == 1
    last = forked.said(name).strip().splitlines()[-1]
    assert last.startswith("bvalign: error: ")
    assert "packs/000: another process has taken over" in last
    assert "Traceback" not in forked.said(name)
    assert forked.end(pid) == 0, forked.said(other)
    assert results(root) == alone
    assert RunDirectory(root).finished() == ([0, 1, 2, 3], [])


def test_what_a_dead_machine_has_begun_is_finished_by_another(forked, fit, alone, tmp_path):
    root = tmp_path / "run"
    _, killed = fit("a")
    until(lambda: training(root))
    os.kill(killed, signal.SIGKILL)
    assert forked.end(killed) == -signal.SIGKILL
    name, pid = fit("b")
    assert forked.end(pid) == 0, forked.said(name)
    assert results(root) == alone
    assert holders(root) == {"000": 2, "001": 1}
