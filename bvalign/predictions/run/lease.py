"""The right to do what one process may do at a time, on a disk that several machines may share.

    packs/003.lock      under the operating system's lock, which ends when its process dies
    packs/003.7/sign    folder of the seventh holder, which rewrites its sign every `BEAT` seconds

Locks alone decide among the processes of one machine, where they work: who gets the lock there has
the lease at once, and a process that is stopped keeps it. On a disk that has no locks, or does not
pass them on to other machines, the folders decide:

- The next holder makes the next folder. `mkdir` fails where the folder exists, so of any number
  that try at once, one has it. No time is compared but that of the own machine's clock with itself.
- A holder whose sign stood still at `MISSED` looks, a beat apart, counts as dead.
- Whoever takes over removes the folders before its own. A holder writes and deletes files *through*
  its folder (`Fence`), so that one that was only stopped can change nothing after that: it fails at
  the disk, not at a check that could be out of date.

Assumed: `mkdir` and `rename` are atomic, as POSIX, NFS 3, SMB and Lustre have it, and a machine
that has made a folder then lists what is beside it as it is. For speed, not for safety: others see
a sign within two beats, 20 seconds; if later, a living holder may count as dead, and ends with
`LeaseLostError`. A dead machine's lease is free half a minute after another has first asked for it.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from errno import ENOLCK, ENOSYS, EOPNOTSUPP
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from bvalign.atomic import boot, told
from bvalign.predictions.run.fence import (
    Fence,
    holder_folder,
    last_holder,
    left_by_holders,
    remove_before,
)

BEAT = 10.0
"""Seconds between two signs of life."""

MISSED = 3
"""Looks, a beat apart, at which a sign has stood still when its holder counts as dead."""

RELEASED = b"released"
"""Begins the sign of a holder that has given the lease back."""


class Lease:
    """Held by at most one process.

    Args:
        path: of the lock, `packs/003.lock`; the folders of holders are beside it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.fence = path, Fence()
        self._lock = _Lock(path)
        self._released = threading.Event()
        self._heartbeat = threading.Thread(target=self._keep_beating, daemon=True)
        self._seen: tuple[int, bytes] | None = None  # last holder and its sign
        self._looks, self._looked = 0, 0.0  # how often the same was seen, and when last

    def attempt(self) -> bool | None:
        """Takes the lease if it is free.

        Returns:
            True if it is ours now, False if another process has it, None if its holder may be dead
            or has only just come: then ask again.

        Raises:
            OSError: the disk cannot be written.
        """
        try:
            return self._attempt()
        except OSError as error:
            raise OSError(told(error, f"could not take {self.path}")) from error

    def acquire(self) -> bool:
        """Takes the lease unless another process has it; waits if that may be dead."""
        while (taken := self.attempt()) is None:
            time.sleep(BEAT / 10)
        return taken

    def release(self) -> None:
        """Gives the lease back."""
        self._released.set()
        self._heartbeat.join()
        with suppress(OSError):  # it was lost, or will count as that of a dead process
            self._sign(RELEASED)
        self._lock.release()

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _attempt(self) -> bool | None:
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (ENOSYS, ENOLCK, EOPNOTSUPP):
                raise
        taken = None
        try:
            taken = self._take()
        finally:
            if not taken:
                self._lock.release()
        return taken

    def _take(self) -> bool | None:
        base = self.path.with_suffix("")
        last = last_holder(base)
        free = last == 0 or self._is_free(last)
        if not free:
            return free
        folder = holder_folder(base, last + 1)
        try:
            folder.mkdir()
        except FileExistsError:
            return None
        if last_holder(base) != last + 1:  # the list of folders was old
            with suppress(FileNotFoundError):
                folder.rmdir()
            return None
        remove_before(base, last + 1)
        self.fence = Fence(folder)
        try:
            (folder / "sign").write_bytes(self._life(0))
        except FileNotFoundError:  # stopped for so long that another came
            return None
        self._heartbeat.start()
        return True

    def _is_free(self, last: int) -> bool | None:
        """Judges the last holder by its sign; None: it may be dead, but was not watched enough."""
        sign = _read(holder_folder(self.path.with_suffix(""), last))
        if sign.startswith(RELEASED) or (self._lock.is_locked and self._is_of_here(sign)):
            return True
        first, now = self._seen is None, time.monotonic()
        if self._seen != (last, sign):
            self._seen, self._looks, self._looked = (last, sign), 0, now
            return None if first else False
        if now - self._looked >= BEAT:
            self._looks, self._looked = self._looks + 1, now
        return True if self._looks >= MISSED else None

    def _is_of_here(self, sign: bytes) -> bool:
        """Whether a sign is of this machine, where the lock would be taken if its holder lived."""
        try:
            return json.loads(sign)["machine"] == _machine(self.path)
        except (ValueError, KeyError, TypeError):
            return False

    def _life(self, beat: int) -> bytes:
        """A sign of life; always of the same length, so that it needs no space on a full disk."""
        sign = {"machine": _machine(self.path), "pid": os.getpid(), "beat": f"{beat:09d}"}
        return json.dumps(sign).encode()

    def _sign(self, content: bytes) -> None:
        with (self.fence.folder / "sign").open("r+b") as file:
            file.write(content)

    def _keep_beating(self) -> None:
        beat = 0
        while not self._released.wait(BEAT):
            beat += 1
            with suppress(OSError):  # a disk that fails for a moment; a lost lease ends the saving
                self._sign(self._life(beat))


def acquired(leases: Iterable[Lease]) -> Iterator[Lease]:
    """Takes leases one after another: those that are free, then those whose holders prove dead.

    All holders that may be dead are watched together.
    """
    doubtful = []
    for lease in leases:
        taken = lease.attempt()
        if taken:
            yield lease
        elif taken is None:
            doubtful.append(lease)
    while doubtful:
        time.sleep(BEAT / 10)
        for lease in list(doubtful):
            taken = lease.attempt()
            if taken is not None:
                doubtful.remove(lease)
            if taken:
                yield lease


def tidy(folder: Path) -> None:
    """Removes what processes have left in their folders when they died, where that is known."""
    for base in left_by_holders(folder):
        lease = Lease(base.with_suffix(".lock"))
        if lease.attempt():
            lease.release()


class _Lock(FileLock):
    """A lock that does not turn into a file that outlives its process."""

    def _fallback_to_soft_lock(self) -> None:
        raise NotImplementedError


def _read(folder: Path) -> bytes:
    try:
        return (folder / "sign").read_bytes()
    except FileNotFoundError:
        return b""


def _machine(path: Path) -> str:
    """Names what shares a lock: the kernel, by its boot, its host name, and the mounted disk."""
    return f"{socket.gethostname()} {boot()} {path.parent.stat().st_dev}"
