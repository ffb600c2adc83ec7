"""Files for `sbatch`: each rank has its GPU, each job its shard; SLURM's variables stand for it."""

import os
import re
import shlex
from unittest import mock

import pytest
import torch

from bvalign.commands.trainers import make_trainer
from tests import ROOT
from tests.processes import run_process

SBATCH = (ROOT / "configs" / "slurm.sbatch").read_text()
CUDA = "lightning.{}.accelerators.cuda.num_cuda_devices"
EXAMPLES = re.findall(r"^#? *(sbatch .*?)(?: {2,}.*)?$", SBATCH, flags=re.MULTILINE)


def options(words):
    return dict(word.removeprefix("--").split("=") for word in words if "=" in word)


def directives(example):
    """The file's options, and those of a command line, which come first for SLURM."""
    given, _ = example.split("configs/slurm.sbatch")
    return options(re.findall(r"^#SBATCH (\S+)", SBATCH, flags=re.MULTILINE)) | options(
        shlex.split(given)
    )


def visible_gpus(asked):
    """GPUs that each task of a node sees: its own, or where they are of the node, all of them."""
    return int(asked["gpus-per-task"] if "gpus-per-task" in asked else asked["gpus-per-node"])


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_task_of_a_node_trains_on_its_own_gpu(monkeypatch, example):
    asked = directives(example)
    nodes, tasks = int(asked["nodes"]), int(asked["ntasks-per-node"])
    job = {"JOB_NAME": "bvalign", "JOB_ID": 1, "NNODES": nodes, "NTASKS_PER_NODE": tasks}
    job |= {"NTASKS": nodes * tasks, "NODELIST": "a[1-2]"}
    devices = []
    for rank in range(nodes * tasks):
        job |= {"PROCID": rank, "LOCALID": rank % tasks, "NODEID": rank // tasks}
        for name, value in job.items():
            monkeypatch.setenv(f"SLURM_{name}", str(value))
        visible = visible_gpus(asked)
        with (
            mock.patch(CUDA.format("fabric"), return_value=visible),
            mock.patch(CUDA.format("pytorch"), return_value=visible),
        ):
            config = {"callbacks": None, "plugins": None, "enable_progress_bar": False}
            config |= {"accelerator": "gpu", "strategy": "auto", "logger": False}
            trainer = make_trainer(config, (), devices=tasks, num_nodes=nodes)
        devices.append(trainer.strategy.root_device)
        assert trainer.world_size == nodes * tasks
        assert trainer.global_rank == rank
    assert devices == [torch.device("cuda", local) for local in range(tasks)] * nodes


def test_the_file_has_two_examples_and_passes_its_tasks_to_the_trainer():
    assert [("--array" in example) for example in EXAMPLES] == [False, True]
    assert '--trainer.devices="${SLURM_NTASKS_PER_NODE' in SBATCH
    assert '--trainer.num_nodes="${SLURM_NNODES' in SBATCH


def test_every_job_of_an_array_analyses_its_shard(tmp_path):
    (tmp_path / "python").write_text('#!/bin/sh\necho "$OMP_NUM_THREADS $*"\n')
    (tmp_path / "python").chmod(0o755)
    job = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "3"}
    job |= {"SLURM_ARRAY_TASK_COUNT": "16", "SLURM_CPUS_PER_TASK": "4"}
    command = ["bash", ROOT / "configs" / "analyze.sbatch", "a b.npz", "out", "--max-error=0.1"]
    shard = "-m bvalign analyze a b.npz --out out --shard 3/{} --max-error=0.1\n"
    assert run_process(command, env=job).stdout == "4 " + shard.format(16)
    again = job | {"SLURM_ARRAY_TASK_COUNT": "1", "SHARDS": "8"}
    assert run_process(command, env=again).stdout == "4 " + shard.format(8)
