"""The software and hardware behind a result; recorded, but not part of its identity."""

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from bvalign import __version__
from bvalign.float32 import training_arithmetic

PACKAGES = ("torch", "lightning", "torchmetrics", "torchvision", "timm", "numpy")


def provenance(device: torch.device | None = None) -> dict[str, object]:
    """Collects the device, its arithmetic, threads, versions and commit of this process.

    Args:
        device: of the training; by default the first GPU, or the CPU where there is none.
    """
    if device is None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "device": device_name(device),
        "arithmetic": training_arithmetic(device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "commit": _commit(),
    }


def device_name(device: torch.device) -> str:
    """Names the kind of device, such as `cuda NVIDIA H100 80GB HBM3` or `cpu x86_64`."""
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else platform.machine()
    return f"{device.type} {name}"


def versions() -> dict[str, str]:
    """Collects the versions of everything that determines the numbers."""
    installed = {"bvalign": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def _commit() -> str | None:
    """Reads the commit of the checkout that bvalign runs from, if it is one."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)
    return described.stdout.strip() or None
