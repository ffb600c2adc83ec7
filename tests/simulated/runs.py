"""Runs of the product on the simulated device, each in a process of its own."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils import backend_registration

from bvalign import RunDirectory
from tests import ROOT
from tests.processes import run_process

SCRIPT = ROOT / "tests" / "simulated" / "fit.py"
ON_DEVICE = "--trainer.accelerator=simulated --trainer.strategy=simulated".split()
ON_CPU = ["--trainer.accelerator=cpu"]
SMALL = (
    "fit --data.num_train=100 --data.num_test=57 --data.batch_size=20 --model.arch=cnn "
    "--model.width=4 --model.members=3 --model.pack_size=3 --model.plan=sequential "
    "--trainer.max_epochs=2 --trainer.check_val_every_n_epoch=1 --trainer.logger=false"
).split()
"""A fit of a second on the CPU: three members, an odd number of test samples."""
needs_python_backends = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this PyTorch takes no device that is written in Python",
)


def run(*commands: Sequence[str], ranks: int = 1) -> list[dict[str, Any]]:
    """Runs command lines of bvalign in one process, or in several ranks.

    Returns:
        What `fit.py` tells of each command, in each rank.
    """
    lines = [shlex.join(command) for command in commands]
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    said = run_process([sys.executable, *launcher, str(SCRIPT), *lines])
    return [json.loads(line) for line in said.stdout.splitlines() if line.startswith("{")]


def root(path: Path | str) -> str:
    """The option that names a run directory."""
    return f"--trainer.default_root_dir={path}"


def check_same(one: Path | str, other: Path | str, *, tolerance: float) -> None:
    """Compares the weights of all members of two finished runs."""
    ids, problems = RunDirectory(one).finished()
    assert ids
    assert (ids, problems) == RunDirectory(other).finished()
    for member in ids:
        here, there = (RunDirectory(path).member(member).weights() for path in (one, other))
        assert here.keys() == there.keys()
        for name in here:
            close = torch.allclose(here[name], there[name], rtol=0, atol=tolerance)
            assert close, (member, name)
