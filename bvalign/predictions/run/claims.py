"""Locks on packs, so that any number of processes share the work of one run directory.

A lock is an operating system's lock on `packs/003.lock`, which ends with its owner however that
dies. Some shared disks do not carry such locks to other machines; there the owner is known by
`packs/003.owner`, which it rewrites every few seconds: an owner on another machine whose file
stands still is dead. No clocks are compared.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol

from filelock import FileLock, Timeout

from bvalign.atomic import write_atomic

BEAT = 10.0
"""Seconds between two signs of life; three without one, and an owner elsewhere is dead."""


@contextmanager
def one_at_a_time(root: Path | str) -> Iterator[None]:
    """For what one process of a run may do at a time; makes the directory.

    Raises:
        OSError: nothing can be written there.
    """
    path = Path(root) / "run.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire()
    except OSError as error:
        raise OSError(
            f"{root} cannot be written ({error.strerror or error}); choose another "
            "--trainer.default_root_dir"
        ) from error
    try:
        yield
    finally:
        lock.release()


class Work(NamedTuple):
    """What to train now, by one process or by several in step."""

    packs: tuple[tuple[int, ...], ...]  # members of each process; empty: nothing is free
    step: int  # optimizer steps that all of them have behind them

    @property
    def members(self) -> tuple[int, ...]:
        return tuple(member for pack in self.packs for member in pack)


class Offer(NamedTuple):
    """Members that could be trained on together, and the steps they can start from."""

    members: tuple[int, ...]
    steps: frozenset[int]


def in_step(offers: Sequence[Offer]) -> tuple[list[Offer], int]:
    """Offers that can go on side by side, and from which step; the most advanced go first.

    An offer joins where it shares a step above zero, so that what is behind it is not lost, or
    where all start from zero. The others wait for their turn.
    """
    chosen: list[Offer] = []
    shared = frozenset({0})
    for offer in sorted(offers, key=lambda offer: -max(offer.steps)):
        common = shared & offer.steps if chosen else offer.steps
        if not chosen or max(common) or not max(shared):
            chosen, shared = [*chosen, offer], common
    return chosen, max(shared)


class PackLock:
    """The right to train one pack, held by at most one process.

    Args:
        path: `packs/003.lock`; the owner's file lies beside it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self.owner = path.with_suffix(".owner")
        self._lock = FileLock(path)
        self._released = threading.Event()
        self._beat = threading.Thread(target=self._show_life, daemon=True)

    def acquire(self) -> bool:
        """Whether the pack is ours now; waits where an owner elsewhere may be dead."""
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except NotImplementedError:
            pass  # a disk without locks: the owner's file alone must do
        if self._alive_elsewhere():
            self._lock.release()
            return False
        self._sign(0)
        self._beat.start()
        return True

    def release(self) -> None:
        """Gives the pack back."""
        self._released.set()
        self._beat.join()
        self.owner.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> "PackLock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _alive_elsewhere(self) -> bool:
        """Whether another machine's process signs while we look."""
        first = self._owner()
        if first is None or (first["host"] == socket.gethostname() and self._lock.is_locked):
            return False
        for _ in range(3):
            time.sleep(BEAT)
            now = self._owner()
            if now != first:
                return now is not None
        return False

    def _owner(self) -> dict[str, object] | None:
        try:
            return json.loads(self.owner.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _sign(self, beat: int) -> None:
        sign = {"host": socket.gethostname(), "pid": os.getpid(), "beat": beat}
        write_atomic(self.owner, json.dumps(sign).encode())

    def _show_life(self) -> None:
        beat = 0
        while not self._released.wait(BEAT):
            beat += 1
            self._sign(beat)


class Record(Protocol):
    """What `settle_plan` needs of a `RunDirectory`, which imports this file."""

    root: Path
    info: dict[str, object]

    def reload(self) -> None: ...


def settle_plan(
    run: Record,
    wanted: str,
    choose: Callable[[], Mapping[str, object]],
    *,
    compiled: bool = False,
) -> dict[str, object]:
    """The plan to train with, and why; one process chooses while the others wait for it.

    `plans` in run.json lists them; the last one holds. It is chosen when a run is new, or when
    somebody names another or starts or stops compiling: a plan is no part of a run's identity, as
    it changes no member beyond rounding, but members are equal bit by bit only under the same one.

    Args:
        run: the run.
        wanted: `auto` takes what the run has.
        choose: gives `plan`, `compiled` and what else is to be recorded.
        compiled: whether members are to be trained through torch.compile.
    """
    with one_at_a_time(run.root):
        run.reload()
        plans = run.info.setdefault("plans", [])
        last = plans[-1] if plans else {}
        holds = wanted in ("auto", last.get("plan")) and compiled == last.get("compiled", False)
        if not (plans and holds):
            plans.append(dict(choose()))
            write_atomic(run.root / "run.json", json.dumps(run.info, indent=1).encode())
    return plans[-1]
