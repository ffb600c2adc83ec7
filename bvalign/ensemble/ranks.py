"""Processes that train together: their start, their agreement and their end."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from lightning.pytorch.strategies import Strategy

T = TypeVar("T")
GRACE = 5.0
"""Seconds that a rank has to report its own error once another one has failed."""


@contextmanager
def started_ranks(strategy: Strategy) -> Iterator[None]:
    """Starts the other processes, unless a launcher has, and joins their group.

    Later Trainers use the same group, so that one set of processes goes through all packs of a run.
    When this process fails, it ends those that it has started.

    Raises:
        TimeoutError: a collective call waited too long for a rank that hangs.
        ConnectionError: another rank was killed.
    """
    _start(strategy)
    try:
        yield
    except Exception as error:
        first = strategy.global_rank + 1
        started = dict(enumerate(getattr(strategy.launcher, "procs", ()), start=first))
        deadline = time.monotonic() + GRACE
        hung = [rank for rank, process in started.items() if _killed(process, deadline)]
        dead = [r for r, process in started.items() if r not in hung and process.returncode < 0]
        if not isinstance(error, RuntimeError):
            raise
        kept = f"({error}); what was saved is kept, the same command continues"
        words = str(error).lower()
        if "timeout" in words or "timed out" in words:
            raise TimeoutError(f"{_named(hung)} did not answer in time {kept}") from error
        if dead:  # a connection is closed before Lightning looks at its processes
            raise ConnectionError(f"{_named(dead)} was killed {kept}") from error
        raise


def _named(ranks: list[int]) -> str:
    return f"rank {', '.join(map(str, ranks))}" if ranks else "another rank"


def _killed(process: subprocess.Popen, deadline: float) -> bool:
    """Kills a process that does not end in time; returns whether that was needed."""
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        return True
    return False


def _start(strategy: Strategy) -> None:
    if strategy.launcher is not None:
        strategy.launcher.launch(strategy.setup_environment)


def on_rank_zero(strategy: Strategy, function: Callable[[], T]) -> T:
    """Runs a function on rank zero and returns its result on all ranks; if it fails, all exit.

    Raises:
        ValueError, OSError: as the function does, on rank zero.
        SystemExit: on the others.
    """
    result, failure = None, None
    if strategy.is_global_zero:
        try:
            result = function()
        except (ValueError, OSError) as error:
            failure = error
    failed = strategy.broadcast(failure is not None)
    if failure is not None:
        raise failure
    if failed:
        raise SystemExit(1)
    return strategy.broadcast(result)


def leave_together(strategy: Strategy) -> None:
    """Ends the process group; a process that leaves before the others can bring them down."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        strategy.barrier()
        torch.distributed.destroy_process_group()
