"""One kind at a time in a fork of a process that has bvalign loaded, within limits.

A kind has failed if it ends in anything but one clear line or a right result: a traceback, a hang,
more memory than `MEMORY` above what is loaded, a character that steers a terminal, a half-written
or forgotten file, or the file that a pickle would have made.
"""

import html.parser
import json
import math
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bad_inputs.kind import ENSEMBLE, Kind

CPU_SECONDS, SECONDS = 20, 100  # the latter are of a clock, on a machine that may be busy
MEMORY = 2**30  # bytes beyond those of the parent
FILE_BYTES = 2**28
INSIDE = 3  # an exit code of the fork where making the input failed, which is a bug of the kind
CANARY = "canary"
LONGEST = 1500
"""Characters of a line: some repeat a path and several names."""

PROGRESS = r"(analyze|write|read) .*\d%|analyze "
"""Lines that say how far a command is."""

OF_WANDB = ("wandb-artifacts", "wandb-media")
"""Folders of W&B, which it removes at the end of the process, not of a fork."""

STEERING = {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0))} - {"\n", "\t"}
STEERING |= {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
"""Control characters, and those that turn the direction of text."""


class Outcome(NamedTuple):
    """What a kind ended in."""

    kind: Kind
    code: int  # of the process, negative where a signal ended it
    seconds: float
    line: str  # the last one of stderr
    problem: str | None  # why it failed

    @property
    def ended(self) -> str:
        return "failed" if self.problem else "line" if self.code else "right"


def load() -> None:
    """Imports what the commands import when they are needed, so that forks need not."""
    import lightning  # noqa: F401
    import torch

    from bvalign.predictions.evaluations import inspect_log, lm_eval  # noqa: F401
    from bvalign.predictions.tables import csv, jsonl, parquet  # noqa: F401
    from bvalign.show.report import write

    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    write.svg = lambda *_: ""  # half of the time of a small report


def attempt(kind: Kind, root: Path) -> Outcome:
    """Makes the input of a kind in a folder and tries it in a fork.

    Args:
        kind: to be tried.
        root: an empty folder.
    """
    begin = time.monotonic()
    process = os.fork()
    if not process:
        _be_child(kind, root)
    status, usage = _wait(process, begin + SECONDS)
    seconds = time.monotonic() - begin
    code = os.waitstatus_to_exitcode(status)
    stdout, stderr = (_read(root / f".{name}") for name in ("stdout", "stderr"))
    memory = 1024 * (usage.ru_maxrss - _own_memory())
    working = usage.ru_utime + usage.ru_stime
    problem = f"took {working:.0f} of {seconds:.0f} s" if _too_long(working, seconds) else None
    problem = problem or (f"took {memory / 2**20:.0f} MiB" if memory > MEMORY else None)
    problem = problem or judge(kind, root, code, stdout, stderr)
    lines = stderr.strip().splitlines()
    return Outcome(kind, code, seconds, lines[-1] if lines else "", problem)


def _too_long(working: float, seconds: float) -> bool:
    return working >= CPU_SECONDS or seconds >= SECONDS


def judge(kind: Kind, root: Path, code: int, stdout: str, stderr: str) -> str | None:
    """Says why an outcome is none that may be; None if it is one."""
    if (root / CANARY).exists():
        return "ran the code of a pickle"
    if steering := sorted(STEERING & {*stdout, *stderr}):
        return f"printed {steering[0]!r}"
    left = [*root.rglob(".*.tmp"), *(root / "tmp").iterdir()]
    if left := [path for path in left if not path.name.endswith(OF_WANDB)]:
        return f"left {left[0].relative_to(root)} behind"
    if code not in (0, 1, 2) or "Traceback (most recent" in stderr:
        return f"ended with {code}: {stderr[-LONGEST:]}"
    if kind.expected == ("right" if code else "refused"):
        return f"must be {kind.expected}: {stderr[-LONGEST:] or stdout[:LONGEST]}"
    if code:
        return _wrong_line(kind, root, stderr)
    return (kind.check or check_numbers)(root)


def _wrong_line(kind: Kind, root: Path, stderr: str) -> str | None:
    lines = [line for line in stderr.splitlines() if line.strip() and not re.match(PROGRESS, line)]
    if len(lines) != 1 or not lines[0].startswith("bvalign: error: "):
        return f"no single line: {stderr[-LONGEST:]}"
    line = lines[0]
    if len(line) > LONGEST:
        return f"a line of {len(line)} characters: {line[:200]}"
    names = kind.names or [path.name for path in root.iterdir() if path.name[0] != "."]
    if not any(name in line for name in names):
        return f"does not name {names}: {line}"
    if not any(mark in line for mark in (";", "?", " must ", " needs ")):
        return f"no remedy: {line}"
    written = [path for path in (root / "out").rglob("*") if path.is_file()]
    return f"wrote {written[0].name} and failed: {line}" if written else None


def check_numbers(root: Path) -> str | None:
    """Compares the means of a report with those of the ensemble."""
    found = json.loads((root / "out" / "summary.json").read_text())["means"]
    for name, value in ENSEMBLE.means.items():
        if not math.isclose(found[name]["value"], value, rel_tol=2e-6):
            return f"{name} is {found[name]['value']}, not {value}"
    return check_pages(root)


def check_pages(root: Path) -> str | None:
    """Looks for elements that names have brought into pages."""
    for page in root.rglob("*.html"):
        parser = _Elements()
        parser.feed(page.read_text(encoding="utf-8"))
        if parser.brought:
            return f"{page.name}: {parser.brought[0]}"
    return None


class _Elements(html.parser.HTMLParser):
    """Elements that no page of ours has."""

    def __init__(self) -> None:
        super().__init__()
        self.brought: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if ("id", "pwn") in attrs or any(name.startswith("on") for name, _ in attrs):
            self.brought.append(f"<{tag} {attrs}>")


def _be_child(kind: Kind, root: Path) -> None:
    """Makes the input, runs bvalign and ends the process."""
    code = INSIDE
    try:
        for name, number in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(root / f".{name}", os.O_CREAT | os.O_WRONLY), number)
        os.chdir(root)
        (root / "tmp").mkdir()
        made = kind.make(root)
        tempfile.tempdir = os.environ["TMPDIR"] = str(root / "tmp")
        _limit()
        code = run(made)
    except BaseException:
        traceback.print_exc()
        code = code or INSIDE
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def run(made: object) -> int:
    """Runs a call as the command line does; gives the exit code."""
    from bvalign import cli

    if callable(made):
        cli._parser = _parser_of(made)
        made = ["call"]
    sys.argv = ["bvalign", *map(str, made)]
    try:
        cli.main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return 1 if isinstance(end.code, str) else end.code or 0
    return 0


def _parser_of(call: Callable[[], object]) -> Callable[[], object]:
    """A stand-in for the parser, so that `main` turns errors of a call into its line."""

    class Parser:
        def parse_args(self, argv: object) -> "Parser":
            return self

        def run(self, arguments: object) -> None:
            call()

    return Parser


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    space = pages * resource.getpagesize() + 4 * MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (space, space))


def _wait(process: int, deadline: float) -> tuple[int, resource.struct_rusage]:
    while True:
        ended, status, usage = os.wait4(process, os.WNOHANG)
        if ended:
            return status, usage
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
            return os.wait4(process, 0)[1:]
        time.sleep(0.002)


def _own_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="backslashreplace") if path.exists() else ""
