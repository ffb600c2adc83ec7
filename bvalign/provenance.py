"""With what software and hardware a result was made; recorded, but no part of its identity."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from bvalign import __version__

PACKAGES = ("torch", "lightning", "torchmetrics", "torchvision", "timm", "numpy")


def provenance() -> dict[str, object]:
    """Device, threads, versions and commit of this process."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "commit": _commit(),
    }


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    found = {"bvalign": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """Commit of the checkout that bvalign runs from, if it is one."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
