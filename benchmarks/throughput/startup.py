"""Start-up time of the command line, and a check that it does not import torch."""

import subprocess
import sys
import time
from collections.abc import Sequence

from limits import spread

COMMANDS = (("--help",), ("analyze", "--help"), ("report", "--help"), ("fit", "--help"))
LISTER = """
import runpy, sys
try: runpy.run_module("bvalign", run_name="__main__", alter_sys=True)
except SystemExit: pass
sys.exit(10 if "torch" in sys.modules else 11)
"""


def startup(rounds: int, commands: Sequence[Sequence[str]] = COMMANDS) -> dict[str, object]:
    """Seconds until each command prints its help, after a first start that may wait for a disk."""
    rows = {}
    for command in commands:
        took = []
        for _ in range(rounds + 1):
            begin = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "bvalign", *command], capture_output=True, check=True
            )
            took.append(time.perf_counter() - begin)
        listed = subprocess.run(
            [sys.executable, "-c", LISTER, *command], capture_output=True, check=False
        )
        name = " ".join(("bvalign", *command))
        rows[name] = {"seconds": spread(took[1:]), "imports_torch": listed.returncode == 10}
    return rows
