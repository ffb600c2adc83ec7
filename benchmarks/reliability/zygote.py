"""Commands of bvalign in children of a process that has imported all, so that they start at once."""

import atexit
import importlib
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.reliability.shim import Action, arm

PATIENCE = 60.0
"""Seconds until a command counts as hanging."""

HUNG = -1000
"""In place of an exit code."""


class Place(NamedTuple):
    """Where a command works."""

    root: Path  # the folder whose changes are counted
    log: Path  # of its calls
    said: Path  # what it prints on stderr

    @classmethod
    def of(cls, folder: Path, name: str = "run") -> "Place":
        """The place of a command in a folder of its own."""
        return cls(folder / "here", folder / f"{name}.calls", folder / f"{name}.stderr")


class Point(NamedTuple):
    """What happens to a command, and when."""

    action: Action = Action.COUNT
    at: int = 0
    error: int = 0


def warm(import_them: Sequence[str]) -> None:
    """Imports modules, as far as they can be, before there is any thread."""
    for name in import_them:
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001, PERF203, S110 (a child imports it when it must)
            pass


def start(
    words: Sequence[str],
    place: Place,
    point: Point = Point(),  # noqa: B008 (immutable)
    *,
    environment: Mapping[str, str] | None = None,
    then: Callable[[], None] = lambda: None,
) -> int:
    """Starts `bvalign WORDS` in a child of this process.

    Args:
        words: the command line.
        place: where; its log and what it said are begun anew.
        point: when the child dies or fails.
        environment: more variables.
        then: called in the child after the command.

    Returns:
        The process id.
    """
    for path in (place.log, place.said):
        path.unlink(missing_ok=True)
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        os.environ |= environment or {}
        os.chdir(place.log.parent)
        _redirect(place.said)
        arm(place.root, place.log, *point)
        code = _command(words)
        threading._shutdown()
        atexit._run_exitfuncs()
        then()
    except BaseException:  # noqa: BLE001 (a child never returns to the parent's code)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(child: int, patience: float = PATIENCE) -> int:
    """Waits for the end of a child, and ends what is left of its group.

    Returns:
        Its exit code, minus the number of the signal that killed it, or HUNG.
    """
    handle = os.pidfd_open(child)
    ended = select.select([handle], [], [], patience)[0]
    os.close(handle)
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if ended else HUNG


def _command(words: Sequence[str]) -> int:
    from bvalign.cli import main

    sys.argv = ["bvalign", *words]
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:  # noqa: BLE001 (what Python does with an error that nobody catches)
        traceback.print_exc()
        return 1
    return 0


def _redirect(said: Path) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for to, descriptor in ((0, nothing), (1, nothing), (2, file)):
        os.dup2(descriptor, to)
    sys.stdout = open(1, "w", closefd=False)  # noqa: PTH123, SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: PTH123, SIM115
