"""Nodes of torchrun and of a Ray cluster share an analysis, and die in the middle of it.

All give the bytes of one process, and nothing that was finished is computed again.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec

import numpy as np
import pytest

from tests import ROOT
from tests.processes import PATIENCE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),  # with the waits of its processes
    pytest.mark.xdist_group("machines"),  # one cluster, one reference
]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")

MEMBERS, SAMPLES, CLASSES = 6, 143, 7
ALL = set(range(0, 48, 2))
"""First ranges of the pieces."""
SMALL, CLUSTER = (str(ROOT / "tests" / name) for name in ("small_pieces.py", "ray_cluster.py"))


class Analysis:
    """`bvalign analyze` by processes that may be killed.

    Args:
        predictions: their file.
        out: folder of the report.
    """

    def __init__(self, predictions, out):
        self.predictions, self.out, self.runs, self.processes = predictions, out, 0, []

    def start(self, *options, launchers=((),), processes=1):
        """Starts a process, or one by each launcher, with a new log."""
        self.runs += 1
        words = ("analyze", self.predictions, "--out", self.out, *options)
        commands = [self.command(*words, launcher=one, processes=processes) for one in launchers]
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        begun = [subprocess.Popen(command, **pipe) for command in commands]
        self.processes += begun
        return begun

    def end(self):
        """Kills what still runs, as after a failure: it would keep the cores of the cluster."""
        for process in self.processes:
            process.kill()
            process.communicate()

    def command(self, *words, launcher=(), processes=1):
        return [sys.executable, *launcher, SMALL, *map(str, (self.log, processes, *words))]

    @property
    def log(self):
        return self.out.with_suffix(f".{self.runs}")

    def computed(self):
        """Process and piece of each line of the last log."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [tuple(int(word) for word in line.split()) for line in lines]

    def stored(self):
        """The pieces that are kept."""
        return {2 * int(file.stem) for file in self.out.glob("pieces/0*.safetensors")}

    def wait_for(self, number):
        """Waits until so many pieces are kept; returns the process that began the last one."""
        wait(lambda: len(self.stored()) >= number)
        assert len(self.stored()) < len(ALL)
        return self.computed()[-1][0]

    def files(self):
        return [(self.out / name).read_bytes() for name in ("samples.csv", "summary.json")]

    def check(self, kept, most_repeated=0):
        """All pieces but the kept ones were computed, once unless their process died."""
        pieces = [piece for _, piece in self.computed()]
        assert set(pieces) == ALL - kept
        assert len(pieces) - len(set(pieces)) <= most_repeated


def wait(happened):
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def ended(*processes):
    """Exit codes, and what the processes said."""
    said = "".join(process.communicate(timeout=PATIENCE)[0] for process in processes)
    return [process.returncode for process in processes], said


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The analysis by one process."""
    folder = tmp_path_factory.mktemp("alone")
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=SAMPLES)
    logits = rng.standard_normal((MEMBERS, SAMPLES, CLASSES), dtype=np.float32)
    logits[:, np.arange(SAMPLES), labels] += rng.uniform(0, 5, SAMPLES)
    np.savez(folder / "p.npz", logits=logits, labels=labels)
    analysis = Analysis(folder / "p.npz", folder / "out")
    assert ended(*analysis.start())[0] == [0]
    analysis.check(kept=set())
    return analysis


@pytest.fixture
def analysis(alone, tmp_path):
    analysis = Analysis(alone.predictions, tmp_path / "out")
    yield analysis
    analysis.end()


@pytest.fixture(scope="module")
def cluster():
    """Address of a cluster of one node, and a function that adds or kills another."""
    folder = tempfile.mkdtemp(prefix="ray")  # names of sockets in it must be short
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = os.environ | {"RAY_TMPDIR": folder}
    with subprocess.Popen([sys.executable, CLUSTER], env=environment, **pipes) as process:

        def tell(word):
            print(word, file=process.stdin, flush=True)
            assert process.stdout.readline() == f"{word}\n"

        yield process.stdout.readline().strip(), tell
        process.stdin.close()
    shutil.rmtree(folder)


def test_two_nodes_of_torchrun_of_which_one_is_killed(analysis, alone):
    def start(processes):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        torchrun = (
            f"-m torch.distributed.run --nnodes=2 --master-addr=127.0.0.1 --master-port={port}"
        )
        launchers = [(*torchrun.split(), f"--node-rank={rank}") for rank in (0, 1)]
        return analysis.start(launchers=launchers, processes=processes)

    nodes = start(processes=2)
    os.kill(analysis.wait_for(6), signal.SIGKILL)
    codes, said = ended(*nodes)
    assert all(codes), said
    kept = analysis.stored()
    codes, said = ended(*start(processes=1))  # perhaps one has nothing left to do
    assert codes == [0, 0], said
    analysis.check(kept)
    assert analysis.files() == alone.files()


@needs_ray
def test_a_cluster_of_ray_whose_driver_and_then_a_node_are_killed(analysis, alone, cluster):
    address, tell = cluster
    tell("add")
    (driver,) = analysis.start("--ray", address, processes=2)
    analysis.wait_for(6)
    driver.kill()
    ended(driver)
    wait(lambda: not any(runs(worker) for worker, _ in analysis.computed()))
    kept = analysis.stored()
    (driver,) = analysis.start("--ray", address, processes=2)
    analysis.wait_for(len(kept) + 4)
    tell("kill")
    codes, said = ended(driver)
    assert codes == [0], said
    analysis.check(kept, most_repeated=1)
    assert analysis.files() == alone.files()


@needs_ray
def test_a_bad_input_in_a_worker_of_ray_is_one_line_and_not_tried_again(tmp_path, cluster):
    logits = np.random.default_rng(0).standard_normal((MEMBERS, SAMPLES, CLASSES))
    logits[2, 4, 5] = np.nan  # where the driver does not look
    np.save(tmp_path / "logits.npy", logits)
    analysis = Analysis(tmp_path / "logits.npy", tmp_path / "out")
    codes, said = ended(*analysis.start("--ray", cluster[0]))
    assert codes == [1]
    assert "logits are NaN or inf: member 2 (1 of 143 samples)" in said.splitlines()[-1]
    assert [piece for _, piece in analysis.computed()].count(0) == 1
