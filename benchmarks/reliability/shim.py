"""The shim that counts file-changing calls of this process, from Python; see shim.c."""

import ctypes
import os
import subprocess
import sys
import tempfile
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("shim.c")
LOADED = "BVALIGN_SHIM"
"""Environment variable with the path of the library that this process has loaded."""


class Action(IntEnum):
    """What happens at the point; as in shim.c."""

    COUNT = 0  # nothing
    KILL = 1  # SIGKILL before the call
    KILL_HALF = 2  # SIGKILL after half of the bytes are written
    FAIL = 3  # this call fails
    FAIL_ON = 4  # this call and all after it fail; of a full disk those that need space


class Call(NamedTuple):
    """A call that changes files."""

    number: int
    kind: str
    path: str


def start_with_shim() -> None:
    """Starts this program again with the shim in it, unless it is.

    Raises:
        RuntimeError: there is no compiler.
    """
    if LOADED in os.environ:
        return
    library = build(Path(tempfile.mkdtemp(prefix="bvalign-shim-")))
    more = {LOADED: str(library), "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | more)


def build(folder: Path) -> Path:
    """Compiles the shim.

    Raises:
        RuntimeError: there is no compiler.
    """
    library = folder / "shim.so"
    command = ["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError as error:
        raise RuntimeError("the shim is compiled with gcc; install it") from error
    return library


def arm(
    folder: Path, log: Path, action: Action = Action.COUNT, at: int = 0, error: int = 0
) -> None:
    """Begins to count the calls of this process that change files under a folder.

    Args:
        folder: an absolute path without symbolic links.
        log: gets a line for each call.
        action: what happens at the point.
        at: number of the call that is the point, from 1.
        error: errno of a call that fails.
    """
    library = ctypes.CDLL(os.environ[LOADED])
    library.shim_arm(
        os.fsencode(folder), os.fsencode(log), int(action), ctypes.c_long(at), int(error)
    )


def read_log(log: Path) -> list[Call]:
    """The calls of a log; none if it was never begun."""
    if not log.exists():
        return []
    rows = (line.split("\t", 2) for line in log.read_text(errors="replace").splitlines())
    return [Call(int(number), kind, path) for number, kind, path in rows]
