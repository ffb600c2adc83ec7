"""The fast recipe of CIFAR-10 on a GPU: minutes of an ensemble, and how accurate its members are.

The images are those of BVALIGN_DATA, the original ones or a re-encoded copy; the result says which.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from workloads import cifar10_is_at_hand

CONFIG = Path(__file__).parents[2] / "configs" / "cifar10-fast.yaml"
MEMBERS = 64


def fast_recipe(members: int = MEMBERS) -> dict[str, object]:
    """Seconds of the whole command, start-up and report included, and the mean accuracy."""
    if not torch.cuda.is_available():
        return {"not_measured": "no GPU"}
    if not cifar10_is_at_hand():
        return {"not_measured": "no CIFAR-10 in the folder BVALIGN_DATA"}
    root = Path(tempfile.mkdtemp(prefix="bvalign-recipe-"))
    options = {
        "config": CONFIG,
        "data.verify": "false",
        "model.members": members,
        "trainer.logger": "false",
        "trainer.default_root_dir": root,
    }
    command = [sys.executable, "-m", "bvalign", "fit", *(f"--{k}={v}" for k, v in options.items())]
    begin = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"fit failed: {done.stderr.strip().splitlines()[-1]}")
        summary = json.loads((root / "summary.json").read_text())
    finally:
        shutil.rmtree(root)
    return {
        "device": torch.cuda.get_device_name(),
        "members": members,
        "seconds": time.monotonic() - begin,
        "accuracy": summary["member_accuracy"]["mean"],
        "notes": summary["notes"],
    }
