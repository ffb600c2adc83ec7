"""Processes of several machines that share a disk: forks of one that has imported everything.

Machines have names of their own, and locks that hold among their own processes only, or none. Their
hearts beat once a second. Orders are lines of JSON on standard input: a process to start,
answered by its pid, or one to wait for, answered by its exit code.
"""

import json
import os
import socket
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager

from tests.processes import PATIENCE

BEAT = 1.0


class Machines:
    """Orders to the process that forks."""

    def __init__(self, process, folder):
        self.process, self.folder = process, folder

    def start(self, machine, *arguments, locks="local"):
        """Starts `bvalign ARGUMENTS` there and returns the pid."""
        said = str(self.folder / f"{machine}.txt")
        words = list(map(str, arguments))
        return self._ask({"machine": machine, "locks": locks, "arguments": words, "said": said})

    def end(self, pid):
        """Waits for a process and returns its exit code."""
        return self._ask({"pid": pid})

    def said(self, machine):
        return (self.folder / f"{machine}.txt").read_text()

    def _ask(self, order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@contextmanager
def machines(folder):
    """Machines whose processes say what they say in files of `folder`."""
    command = [sys.executable, "-m", "tests.machines"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        yield Machines(process, folder)
        process.stdin.close()


def until(happens):
    """Waits until something happens, which is looked for again and again."""
    end = time.monotonic() + PATIENCE
    while not (found := happens()):
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.002)
    return found


def _become(order):
    """Turns a fork into a process of a machine; returns its exit code."""
    from bvalign.predictions.run import lease

    said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    machine, lock = order["machine"], lease._Lock

    def own_lock(path):
        return lock(path.with_name(f".{machine}-{path.name}"))

    def refuse(*_, **__):
        raise NotImplementedError

    lease.BEAT, socket.gethostname = BEAT, lambda: machine
    lease._Lock = own_lock
    if order["locks"] == "none":
        lock.acquire = refuse
    sys.argv = ["bvalign", *order["arguments"]]
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, str):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 70
    return 0


if __name__ == "__main__":
    from bvalign.cli import main
    from bvalign.commands import fit, report  # noqa: F401  forks need not import them
    from bvalign.show.report import write

    write.svg = lambda *_: ""  # no figures

    for line in sys.stdin:
        order = json.loads(line)
        if "pid" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["pid"], 0)[1])
        elif not (answer := os.fork()):
            code = _become(order)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(json.dumps(answer), flush=True)
