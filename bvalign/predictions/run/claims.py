"""Locks on packs and one plan for all, so that any number of processes can train one run.

A lock is the operating system's lock on `packs/003.lock`, which is released when its owner dies,
however that happens. Some shared file systems do not pass such locks on to other machines; there
the owner's heartbeat counts: it rewrites `packs/003.owner` every few seconds, and an owner on
another machine whose file does not change is dead. No clocks are compared.
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
from typing import NamedTuple, Protocol, runtime_checkable

from filelock import FileLock, Timeout

from bvalign.atomic import write_atomic

BEAT = 10.0
"""Seconds between two heartbeats; an owner on another machine that misses three is dead."""


@contextmanager
def one_at_a_time(root: Path | str) -> Iterator[None]:
    """Locks the run, for what only one process may do at a time; creates the directory.

    Raises:
        OSError: the directory cannot be written.
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
    """Members to train now, by one process or by several in step."""

    packs: tuple[tuple[int, ...], ...]  # members of each process; empty if no pack is free
    step: int  # optimizer steps that all of them have completed

    @property
    def members(self) -> tuple[int, ...]:
        return tuple(member for pack in self.packs for member in pack)


class Offer(NamedTuple):
    """Members that can be trained together, and the steps they can resume from."""

    members: tuple[int, ...]
    steps: frozenset[int]


def in_step(offers: Sequence[Offer]) -> tuple[list[Offer], int]:
    """Chooses offers that can resume side by side, and their step; the most advanced go first.

    An offer joins if it shares a step above zero with those chosen, so that no training is lost,
    or if all start from zero. The others wait for their turn.
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
        path: `packs/003.lock`; the owner's file is beside it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self.owner = path.with_suffix(".owner")
        self._lock = FileLock(path)
        self._released = threading.Event()
        self._heartbeat = threading.Thread(target=self._keep_beating, daemon=True)

    def acquire(self) -> bool:
        """Takes the pack unless another process has it; waits if an owner elsewhere may be dead.

        Returns:
            True if the pack is ours now.
        """
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except NotImplementedError:
            pass  # a file system without locks: the owner's file alone must do
        if self._alive_elsewhere():
            self._lock.release()
            return False
        self._write_owner(0)
        self._heartbeat.start()
        return True

    def release(self) -> None:
        """Gives the pack back."""
        self._released.set()
        self._heartbeat.join()
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
        """Watches for heartbeats of an owner on another machine."""
        first = self._read_owner()
        if first is None or (first["host"] == socket.gethostname() and self._lock.is_locked):
            return False
        for _ in range(3):
            time.sleep(BEAT)
            now = self._read_owner()
            if now != first:
                return now is not None
        return False

    def _read_owner(self) -> dict[str, object] | None:
        try:
            return json.loads(self.owner.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _write_owner(self, beat: int) -> None:
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "beat": beat}
        write_atomic(self.owner, json.dumps(owner).encode())

    def _keep_beating(self) -> None:
        beat = 0
        while not self._released.wait(BEAT):
            beat += 1
            self._write_owner(beat)


@runtime_checkable
class RunJson(Protocol):
    """The part of a `RunDirectory` that `settle_plan` uses; directory.py imports this file."""

    root: Path
    info: dict[str, object]

    def reload(self) -> None: ...


def settle_plan(
    run: RunJson,
    wanted: str,
    choose: Callable[[], Mapping[str, object]],
    *,
    device: str,
    compiled: bool = False,
    graph: str | None = None,
    steps: int | float = 0,
) -> dict[str, object]:
    """Settles the plan to train with; one process chooses it while the others wait.

    `plans` in run.json lists all plans; the last one of a kind of device is in force there. A plan
    is chosen for a new run, when the user names another plan or turns torch.compile on or off, when
    training steps can be CUDA graphs now or no longer can, when a run that was too short for a
    trial of plans has grown, and when it continues on a device of another kind. It is not part of a
    run's identity, as it changes no member beyond rounding, but members are bit-identical only
    under the same plan.

    Args:
        run: the run directory.
        wanted: name of the plan; `auto` takes the one in force.
        choose: returns `plan`, `compiled` and whatever else is to be recorded.
        device: type and name of the device of this process; plans without one hold on all.
        compiled: whether members are to be trained through torch.compile.
        graph: whether their steps are to be CUDA graphs, or why not; None leaves that open.
        steps: training steps of the run, compared with `untimed_steps` of the plan in force.

    Returns:
        The plan in force, as `choose` returned it, with its device.
    """
    with one_at_a_time(run.root):
        run.reload()
        plans = run.info.setdefault("plans", [])
        here = [plan for plan in plans if plan.get("device", device) == device]
        last = here[-1] if here else {}
        holds = wanted in ("auto", last.get("plan")) and compiled == last.get("compiled", False)
        holds = holds and graph in (None, last.get("graph", graph))
        outgrown = wanted == "auto" and 0 < last.get("untimed_steps", 0) < steps
        if here and holds and not outgrown:
            return last
        chosen = {**choose(), "device": device}
        if plans and not here:
            before = plans[-1]["device"]
            chosen["reason"] = f"chosen anew on {device}, before on {before}; {chosen['reason']}"
        plans.append(chosen)
        write_atomic(run.root / "run.json", json.dumps(run.info, indent=1).encode())
    return chosen
