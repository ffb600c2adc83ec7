"""Several processes: member-parallel ranks, ddp, two nodes, workers, and the death of one.

Every run is the same three members in float64, so that all must end with the same weights.
"""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bvalign import RunDirectory
from tests.processes import PATIENCE, QUICK
from tests.slow import mostly_slow

COMMON = (
    "fit --data.num_train=100 --data.num_test=57 --data.batch_size=20 --model.arch=mlp "
    "--model.width=8 --model.members=3 --trainer.precision=64-true --trainer.accelerator=cpu "
    "--trainer.max_epochs=4 --trainer.check_val_every_n_epoch=1 --checkpoints.seconds=0 "
    "--trainer.logger=CSVLogger --trainer.deterministic=true"
).split()
TRAIN = "--predictions.train=true"
pytestmark = [
    pytest.mark.xdist_group("ranks"),  # one worker trains what several tests look at
    pytest.mark.timeout(3 * PATIENCE),
]


def start(root, *arguments, launcher=(QUICK,), **environment):
    where = [f"--trainer.default_root_dir={root}", f"--trainer.logger.save_dir={root}"]
    return subprocess.Popen(
        [sys.executable, *launcher, *COMMON, *where, *arguments],
        env={**os.environ, "PYTHONWARNINGS": "ignore", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(*processes, code=0):
    """What each printed; kills all that do not end in time."""
    said = []
    try:
        for process in processes:
            said.append(process.communicate(timeout=PATIENCE)[0])
            assert code is None or process.returncode == code, said[-1]
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return said


def fit(root, *arguments, **more):
    (said,) = end(start(root, *arguments, **more))
    return said


def weights(root, member):
    return RunDirectory(root).member(member).weights()


def check_same(root, other, members=3, tolerance=1e-8):
    assert RunDirectory(root).finished() == (list(range(members)), [])
    for member in range(members):
        b = weights(other, member)
        for name, a in weights(root, member).items():
            assert a.dtype in (torch.float64, torch.int64)  # counts of BatchNorm
            assert torch.allclose(a, b[name], rtol=0, atol=tolerance), (member, name)


def train_logits(root, member):
    logits = RunDirectory(root).member(member).open_logits("train").take(slice(None))[0]
    assert logits.shape == (100, 10)
    return logits


def logged(root):
    """The last value of every logged key of all versions, and all values of val/ keys in order."""
    values = {}
    for path in sorted(Path(root).glob("lightning_logs/version_*/metrics.csv")):
        for row in csv.DictReader(path.read_text().splitlines()):
            for key, value in row.items():
                if value:
                    values.setdefault(key, []).append(float(value))
    return values


def summary(root):
    return json.loads((Path(root) / "summary.json").read_text())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    root = tmp_path_factory.mktemp("alone")
    fit(root, TRAIN)
    return root


MONITOR = ("--trainer.callbacks+=bvalign.show.callbacks.NeuralCollapseMonitor",)
MONITOR += ("--trainer.callbacks.every_n_epochs=1",)


def collapse(root):
    """NC1 of each member, by epoch."""
    header, *rows = csv.reader((Path(root) / "collapse.csv").read_text().splitlines())
    assert header[:3] == ["member", "epoch", "nc1"]
    assert len({(member, epoch) for member, epoch, *_ in rows}) == len(rows)
    found = {}
    for _, epoch, nc1, *_ in rows:
        found.setdefault(epoch, []).append(float(nc1))
    return found


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    root = tmp_path_factory.mktemp("two")
    said = fit(root, "--trainer.devices=2", TRAIN, *MONITOR)
    assert "2 ranks of MemberParallelStrategy" in said
    return root


def test_ranks_have_members_of_their_own_equal_to_one_process(alone, two_ranks):
    assert RunDirectory(two_ranks).packs == [[0, 1], [2]]
    assert not torch.equal(weights(two_ranks, 0)["fc.weight"], weights(two_ranks, 2)["fc.weight"])
    check_same(two_ranks, alone, tolerance=0)
    for member in range(3):
        assert torch.equal(train_logits(two_ranks, member), train_logits(alone, member))
    assert (two_ranks / "samples.csv").read_bytes() == (alone / "samples.csv").read_bytes()


@pytest.mark.parametrize("strategy", ["member_parallel", "ddp"])
def test_live_metrics_of_ranks_are_those_of_one_process(request, alone, two_ranks, strategy):
    root = two_ranks if strategy == "member_parallel" else request.getfixturevalue("ddp")
    expected, found = logged(alone), logged(root)
    for key in ("val/bias_sq", "val/variance", "val/accuracy", "test/risk", "train/loss"):
        assert found[key] == pytest.approx(expected[key], rel=1e-6), key
    means = summary(root)["means"]
    for name in ("bias_sq", "variance", "risk"):
        assert found[f"test/{name}"][-1] == pytest.approx(means[name]["value"], rel=1e-6)


def test_a_rank_without_members_keeps_the_others_company(two_ranks, tmp_path):
    root = shutil.copytree(two_ranks, tmp_path / "run")  # others look at the members of two_ranks
    fit(root, "--trainer.devices=2", "--model.members=4", *MONITOR)
    assert RunDirectory(root).packs == [[0, 1], [2], [3]]
    assert RunDirectory(root).finished() == ([0, 1, 2, 3], [])
    nc1 = collapse(root)
    assert [len(members) for members in nc1.values()] == [4] * 4
    assert logged(root)["collapse/nc1"][-4:] == pytest.approx([nc1[e][-1] for e in "1234"])


def test_the_monitor_of_collapse_weights_ranks_by_their_members(two_ranks):
    nc1 = collapse(two_ranks)
    assert [len(members) for members in nc1.values()] == [3] * 4
    means = [sum(members) / 3 for members in nc1.values()]
    assert logged(two_ranks)["collapse/nc1"] == pytest.approx(means, rel=1e-6)


COUNTS = """
import torch
from lightning.pytorch import Callback

class Count(Callback):
    def on_train_epoch_start(self, trainer, module):
        self.begin = self.number()

    def on_train_epoch_end(self, trainer, module):
        print("collective calls", self.number() - self.begin, flush=True)

    def number(self):
        group = torch.distributed.distributed_c10d._get_default_group()
        return group._get_sequence_number_for_group()
"""


def test_ranks_meet_every_eight_batches_to_agree_on_a_stop_and_never_else(tmp_path):
    (tmp_path / "counts.py").write_text(COUNTS)
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    more = ("--trainer.devices=2", "--data.batch_size=5", "--trainer.check_val_every_n_epoch=9")
    said = fit(tmp_path, *more, "--trainer.callbacks=counts.Count", PYTHONPATH=path)
    twice = "collective calls 4\n"  # in 20 batches, each a barrier and the sum
    assert said.count(twice) == said.count("collective calls") == 2 * 4


@pytest.fixture(scope="module")
def ddp(tmp_path_factory):
    root = tmp_path_factory.mktemp("ddp")
    fit(root, "--trainer.devices=2", "--trainer.strategy=ddp", TRAIN)
    return root


def test_ddp_gives_the_members_of_one_process_with_the_whole_batch(alone, ddp):
    check_same(ddp, alone)
    for member in range(3):
        a, b = (RunDirectory(root).member(member).logits() for root in (alone, ddp))
        assert torch.allclose(a, b, atol=1e-5)
        a, b = (train_logits(root, member) for root in (alone, ddp))
        assert torch.allclose(a, b, atol=1e-5)
        assert RunDirectory(ddp).member(member).seen().all()
    assert summary(ddp)["num_samples"] == 57


@pytest.mark.slow
def test_ddp_needs_equal_parts_of_a_batch(tmp_path):
    more = ("--trainer.devices=2", "--trainer.strategy=ddp", "--data.batch_size=25")
    (said,) = end(start(tmp_path, *more), code=None)
    assert "batch_size must be a multiple of the 2 ranks that split it, got 25" in said


@pytest.mark.slow
def test_two_nodes_on_loopback(alone, tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]

    def node(rank):
        launcher = ("-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1")
        launcher += (f"--node-rank={rank}", "--master-addr=127.0.0.1", f"--master-port={port}")
        launcher += ("-m", "bvalign")
        return start(tmp_path, "--trainer.num_nodes=2", "--trainer.devices=1", launcher=launcher)

    end(node(0), node(1))
    check_same(tmp_path, alone, tolerance=0)


@pytest.mark.slow
def test_tasks_of_slurm_are_ranks(alone, tmp_path):
    """What `srun` sets for two tasks on two nodes, as in configs/slurm.sbatch."""
    job = {"JOB_ID": os.getpid(), "JOB_NAME": "bvalign", "NODELIST": "127.0.0.1", "NNODES": 2}
    job |= {"NTASKS": 2, "NTASKS_PER_NODE": 1, "LOCALID": 0}

    def task(rank):
        variables = {f"SLURM_{name}": str(value) for name, value in job.items()}
        variables |= {"SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank)}
        return start(tmp_path, "--trainer.num_nodes=2", "--trainer.devices=1", **variables)

    said = end(task(0), task(1))
    assert "2 ranks of MemberParallelStrategy" in said[0]
    check_same(tmp_path, alone, tolerance=0)


def test_workers_share_the_packs_and_the_last_one_reports(alone, tmp_path):
    workers = [start(tmp_path, "--model.pack_size=1") for _ in range(2)]
    said = end(*workers)
    check_same(tmp_path, alone, tolerance=0)
    assert sum("report.html" in one for one in said) == 1
    assert (tmp_path / "samples.csv").read_bytes() == (alone / "samples.csv").read_bytes()


def wait_for(root, pattern, process):
    deadline = time.monotonic() + PATIENCE
    while not list(Path(root).glob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


LONGER = "--model.arch=cnn --trainer.max_epochs=15 --model.pack_size=2".split()
LONGER += ["--trainer.check_val_every_n_epoch=5"]
"""With BatchNorm, whose buffers must stay with their members."""


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    root = tmp_path_factory.mktemp("longer")
    fit(root, *LONGER)
    return root


@pytest.mark.parametrize(("first", "second"), mostly_slow([(2, 1), (1, 2)], quick=[(2, 1)]))
def test_sigterm_saves_and_another_number_of_ranks_goes_on(tmp_path, longer, first, second):
    process = start(tmp_path, f"--trainer.devices={first}", *LONGER)
    wait_for(tmp_path, "members/*/checkpoint-*.safetensors", process)
    process.terminate()
    (said,) = end(process, code=75)
    assert "the same command continues" in said
    with RunDirectory(tmp_path).claim(seats=second) as work:
        assert work.step > 0
    said = fit(tmp_path, f"--trainer.devices={second}", *LONGER)
    assert "weights_only" not in said
    assert "Seed set to" not in said
    assert [name for name in weights(tmp_path, 0) if "running_var" in name]
    check_same(tmp_path, longer, tolerance=0)


@pytest.mark.slow
def test_a_dead_rank_ends_the_job_and_is_named(tmp_path):
    process = start(tmp_path, "--trainer.devices=2", "--trainer.max_epochs=2000")
    wait_for(tmp_path, "members/*/checkpoint-*.safetensors", process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    begin = time.monotonic()
    (said,) = end(process, code=None)
    assert process.returncode != 0
    assert time.monotonic() - begin < 60
    assert "rank: 1" in said or "rank 1 was killed" in said  # whoever sees it first


HANGS = """
import datetime, time
from lightning.pytorch import Callback
from torch.distributed import distributed_c10d as c10d

class Hang(Callback):
    def on_train_start(self, trainer, module):
        group = c10d._get_default_group()
        print("timeout", group._get_backend(module.device).options._timeout, flush=True)
        trainer.strategy.barrier()
        c10d._set_pg_timeout(datetime.timedelta(seconds=3), group)
        if trainer.global_rank == 1:
            time.sleep(1000)
"""


@pytest.mark.slow
def test_a_rank_that_hangs_ends_the_job_and_is_named(tmp_path):
    """The timeout is the user's while ranks start, which takes long on a busy machine; then 3 s."""
    (tmp_path / "hangs.py").write_text(HANGS)
    strategy = "--trainer.strategy=bvalign.ensemble.strategy.MemberParallelStrategy"
    more = ("--trainer.devices=2", strategy, "--trainer.strategy.timeout=0:20:00")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    process = start(tmp_path, *more, "--trainer.callbacks=hangs.Hang", PYTHONPATH=path)
    (said,) = end(process, code=1)  # it waits for all that can still write
    assert "timeout 0:20:00" in said
    assert "bvalign: error: rank 1 did not answer in time" in said
    assert "the same command continues" in said
