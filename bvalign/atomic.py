"""Atomic writes: a file is complete or absent, whenever the process dies or the power fails."""

import errno
import hashlib
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

REMEDIES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in your quota",
    errno.EIO: "check the disk",
}
"""What a user can do about an error of the operating system, before the next try."""


@contextmanager
def atomic_path(path: Path, *, by_way_of: Path | None = None) -> Iterator[Path]:
    """Yields a temporary path that replaces `path` when the block ends without an error.

    Args:
        path: the file.
        by_way_of: folder of the temporary file, if not that of `path`; on the same disk.

    Raises:
        OSError: the file could not be written; the old one stays as it was.
    """
    temporary = (by_way_of or path.parent) / f".{path.name}.{_signature(os.getpid())}"
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):  # what is left is removed by the next start
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(told(error, f"could not write {path}")) from error
        raise


def write_atomic(path: Path, content: bytes, *, by_way_of: Path | None = None) -> None:
    """Replaces the content of `path`; on failure the old file stays as it was."""
    with atomic_path(path, by_way_of=by_way_of) as temporary:
        temporary.write_bytes(content)


def told(error: OSError, what: str) -> str:
    """Says in one line what failed, why, and what to do."""
    remedy = REMEDIES.get(error.errno)
    return (
        f"{what} ({error.strerror or error}); what was finished before is kept, "
        f"{f'{remedy} and ' if remedy else ''}run the same command again to continue"
    )


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Gives errors of a block that name no file, as of writing an open one, the name of this."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # one with a message of ours has none
            error.filename = error.filename or str(path)
        raise


def remove_temporaries(folder: Path) -> None:
    """Removes temporary files of killed processes; only where no other process writes."""
    for path in folder.glob(".*.tmp") if folder.is_dir() else ():
        path.unlink(missing_ok=True)


def remove_left(folder: Path) -> None:
    """Removes temporary files that processes of this machine left when they died."""
    for path in folder.glob(".*.tmp") if folder.is_dir() else ():
        pid = path.name.split(".")[-2]
        ours = pid.isdecimal() and path.name.endswith(f".{_signature(int(pid))}")
        if ours and _is_dead(int(pid)):
            path.unlink(missing_ok=True)


def _signature(pid: int) -> str:
    """The end of the names of a process's temporary files."""
    return f"{_where_pids_are_known()}.{pid}.tmp"


def boot() -> str:
    """Names this start of this machine's kernel."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else f"{uuid.getnode():x}"


@cache
def _where_pids_are_known() -> str:
    """Names the machine or container; several may have one host name, and the same pids."""
    container = Path("/proc/self/ns/pid")
    inside = str(container.readlink()) if container.exists() else ""
    name = f"{socket.gethostname()} {boot()} {inside}"
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def _is_dead(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # of another user
    return False


def _sync_folder(folder: Path) -> None:
    """Makes the new name of a file in a folder outlast a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
