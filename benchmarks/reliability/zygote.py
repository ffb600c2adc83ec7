"""Commands of bvalign in children of a process that has imported all, so that they start at once.

A training command is read and its classes are made once in a child that serves: each start is a
fork of that child, from where training begins. Nothing has changed a file before.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from benchmarks.reliability.shim import Action, arm

PATIENCE = 240.0
"""Seconds until a command counts as hanging, also on a machine with much else to do."""

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

    def told(self) -> str:
        """What the command said, with ROOT for the folder."""
        return self.said.read_text(errors="replace").replace(str(self.root), "ROOT")


class Point(NamedTuple):
    """What happens to a command, and when."""

    action: Action = Action.COUNT
    at: int = 0
    error: int = 0


def warm_up() -> None:
    """Imports what commands use, and leaves out figures and pages, which take most of the time."""
    for name in (
        *("commands.fit", "commands.report", "commands.apply", "commands.compare"),
        *("commands.figures", "show.report.write"),
    ):
        importlib.import_module(f"bvalign.{name}")
    importlib.import_module("lightning.pytorch.loggers")
    write = sys.modules["bvalign.show.report.write"]
    write.svg = lambda *_: ""
    write.page = lambda _, __, summary, *___, **____: json.dumps(summary).encode()
    gc.collect()
    gc.freeze()  # a collection in a child looks at its own objects only


def start(
    words: Sequence[str],
    place: Place,
    point: Point = Point(),  # noqa: B008 (immutable)
    *,
    environment: Mapping[str, str] | None = None,
    first: Callable[[], None] = lambda: None,
) -> int:
    """Starts `bvalign WORDS` in a child of this process.

    Args:
        words: the command line.
        place: where; its log and what it said are begun anew.
        point: when the child dies or fails.
        environment: more variables.
        first: called in the child before the command.

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
        first()
        arm(place.root, place.log, *point)
        code = _command(words)
        _finish()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Server:
    """A training command whose starts share the reading of its command line.

    Args:
        words: the command line.
        place: where it works.
    """

    def __init__(self, words: Sequence[str], place: Place) -> None:
        asked, self._asks = os.pipe()
        self._answers, answer = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            os.close(self._asks)
            _serve(words, place, asked, answer)
        os.close(asked)
        os.close(answer)

    def run(self, place: Place, point: Point = Point(), patience: float = PATIENCE) -> int:  # noqa: B008
        """Starts the command and waits for its end; arguments and result as of start and wait."""
        for path in (place.log, place.said):
            path.unlink(missing_ok=True)
        request = [[str(path) for path in place], [int(number) for number in point], patience]
        os.write(self._asks, (json.dumps(request) + "\n").encode())
        answer = os.read(self._answers, 64)
        if not answer:
            raise RuntimeError(f"the command cannot be read: {place.said}")
        return int(answer)

    def close(self) -> None:
        """Ends the child that serves."""
        os.close(self._asks)
        os.close(self._answers)
        os.waitpid(self._pid, 0)


def _serve(words: Sequence[str], place: Place, asked: int, answer: int) -> NoReturn:
    """In the child: reads the command, and starts it from there whenever it is asked to."""
    from bvalign.commands.fit import EnsembleCLI

    def serve(method: Callable[..., None]) -> Callable[..., None]:
        def begin(*given: object, **more: object) -> None:
            requests = os.fdopen(asked)
            for request in requests:
                paths, point, patience = json.loads(request)
                here, child = Place(*map(Path, paths)), os.fork()
                if not child:
                    os.setsid()
                    _redirect(here.said)
                    arm(here.root, here.log, *point)
                    return method(*given, **more)
                os.write(answer, f"{wait(child, patience)}\n".encode())
            os._exit(0)

        return begin

    EnsembleCLI.fit, EnsembleCLI.test = serve(EnsembleCLI.fit), serve(EnsembleCLI.test)
    code = 1
    try:
        os.chdir(place.log.parent)
        _redirect(place.said)
        code = _command(words)
        _finish()
    finally:
        os._exit(code)


def _finish() -> None:
    """What Python does at the end of a process."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()


def wait(child: int, patience: float = PATIENCE) -> int:
    """Waits for the end of a child, and ends what is left of its group.

    Returns:
        Its exit code, minus the number of the signal that killed it, or HUNG.
    """
    handle = os.pidfd_open(child)
    ended = select.select([handle], [], [], patience)[0]
    os.close(handle)
    for end in (os.kill, os.killpg):  # it has no group of its own in its first moments
        with contextlib.suppress(ProcessLookupError):
            end(child, signal.SIGKILL)
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
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _redirect(said: Path) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for to, descriptor in ((0, nothing), (1, nothing), (2, file)):
        os.dup2(descriptor, to)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
