"""Copies of files of the checkout that a test may write, also where the checkout may not be."""

import shutil
from pathlib import Path


def writable_copy(source: Path, to: Path | str) -> Path:
    """Copies a folder; files and folders of the copy can be written."""
    copy = Path(shutil.copytree(source, to, copy_function=shutil.copyfile))
    for path in [copy, *copy.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    return copy
