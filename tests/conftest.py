"""What several test files share: tiny ensembles, and the command line run in this process."""

import json
import os
import sys
from pathlib import Path

# Tiny tensors, and a worker on every core: a second thread only waits. It is read when torch loads,
# also by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["JSONARGPARSE_DEPRECATION_WARNINGS"] = "off"  # Lightning 2.6 on jsonargparse 4.53

import numpy as np
import pytest
import torch

HERE = Path(__file__).parent
TINY = (
    "--data.num_train=100 --data.num_test=57 --data.batch_size=20 --model.arch=mlp "
    "--model.width=8 --model.plan=sequential --trainer.max_epochs=2 "
    "--trainer.check_val_every_n_epoch=1"
).split()
"""Options of a fit that takes a second: an odd number of test samples, two epochs."""
QUICK = str(HERE / "quick.py")
"""The script that is `bvalign` as a process of its own, with small figures."""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    """No test writes into the checkout, and none finds a W&B login or another's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BVALIGN_DATA", raising=False)
    for name in ("WANDB_API_KEY", "WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-config"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def bvalign(monkeypatch):
    """Runs `bvalign ARGUMENTS` in this process; figures are small PNG, which is twice as fast."""
    from bvalign.cli import main
    from bvalign.show.report import write

    monkeypatch.setattr(write, "FORMATS", {"png": {"dpi": 40}})

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bvalign", *map(str, arguments)])
        main()

    return run


@pytest.fixture
def fit(bvalign):
    """Runs a tiny fit without a logger."""
    return lambda *arguments: bvalign("fit", *TINY, "--trainer.logger=false", *arguments)


@pytest.fixture(scope="session")
def golden():
    """Ensembles with expectations to 36 digits, computed with mpmath."""
    return json.loads((HERE / "golden_ensembles.json").read_text())


def random_ensemble(members=3, samples=5, classes=4, scale=2.0, seed=0):
    """Logits (members, samples, classes) and labels; every axis has its own length."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(members, samples, classes, generator=generator)
    target = torch.randint(classes, (samples,), generator=generator)
    return logits, target


def aligned_ensemble(members=12, samples=900, classes=5, sigma=1.0, seed=0):
    """Logits with margins spread over decades and Gaussian noise: light tails, slope near one."""
    rng = np.random.default_rng(seed)
    target = rng.integers(classes, size=samples)
    logits = sigma * rng.standard_normal((members, samples, classes))
    logits[:, np.arange(samples), target] += rng.uniform(8, 20, size=samples)
    return torch.from_numpy(logits), torch.from_numpy(target)


def save_npz(path, logits, target, **more):
    np.savez(path, logits=np.asarray(logits), labels=np.asarray(target), **more)
    return path
