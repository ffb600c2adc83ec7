"""Atomic writes: a file is complete or absent, whenever the process dies."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path, *, by_way_of: Path | None = None) -> Iterator[Path]:
    """Yields a temporary path that replaces `path` when the block ends without an error.

    Args:
        path: the file.
        by_way_of: folder of the temporary file, if not that of `path`; on the same disk.
    """
    unique = f"{os.getpid()}-{secrets.token_hex(4)}"  # machines that share a disk may share pids
    temporary = (by_way_of or path.parent) / f".{path.name}.{unique}.tmp"
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(
            f"could not write {path} ({error.strerror or error}); what was finished before is "
            "kept, run the same command again to continue"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes, *, by_way_of: Path | None = None) -> None:
    """Replaces the content of `path`; on failure the old file stays as it was."""
    with atomic_path(path, by_way_of=by_way_of) as temporary:
        temporary.write_bytes(content)


def remove_temporaries(folder: Path) -> None:
    """Removes temporary files of killed processes; only where no other process writes."""
    for path in folder.glob(".*.tmp") if folder.is_dir() else ():
        path.unlink(missing_ok=True)
