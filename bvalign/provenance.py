"""The software and hardware behind a result; recorded, but not part of its identity."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from bvalign import __version__

PACKAGES = ("torch", "lightning", "torchmetrics", "torchvision", "timm", "numpy")


def provenance() -> dict[str, object]:
    """Collects the device, threads, versions and commit of this process."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "commit": _commit(),
    }


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
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
    ]
    described = subprocess.run(command, capture_output=True, text=True, check=False)
    return described.stdout.strip() or None
