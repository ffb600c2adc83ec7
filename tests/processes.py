"""`bvalign` as a process of its own, and the options of fits that take a second."""

import os
import subprocess
import sys

from tests import ROOT

TINY = (
    "--data.num_train=100 --data.num_test=57 --data.batch_size=20 --model.arch=mlp "
    "--model.width=8 --model.plan=sequential --trainer.max_epochs=2 "
    "--trainer.check_val_every_n_epoch=1"
).split()
"""Options of a fit that takes a second: an odd number of test samples, two epochs."""
QUICK = str(ROOT / "tests" / "quick.py")
"""The script that is `bvalign` as a process of its own, with small figures."""
PATIENCE = 240
"""Seconds until a process counts as hanging, also on a machine with much else to do."""


def bvalign_process(*arguments, ranks=1):
    """The command line of `bvalign ARGUMENTS`, started by torchrun if there are several ranks."""
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    return [sys.executable, *launcher, QUICK, *map(str, arguments)]


def bare_environment():
    """What is left of the environment where there is no home and no language."""
    return {name: os.environ[name] for name in ("PATH", "PYTHONPATH")} | {"LC_ALL": "C"}


def run_process(command, **options):
    """What a process printed on both streams; one that fails is shown with all it said."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
