"""What commands take besides their work: start-up, report and end.

    python startup.py ROUNDS           # whole commands alone, as JSON

`startup` is the time until each --help answers, with a check that it does not import torch.
`whole_commands` compares a short `bvalign fit` and its report with a Lightning script that trains
as many members one after another and keeps nothing of them.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fits import HERE, fit_command
from limits import interleaved, ratios, spread
from workloads import WORKLOADS

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
        took = [_run([sys.executable, "-m", "bvalign", *command])[0] for _ in range(rounds + 1)]
        listed = subprocess.run(
            [sys.executable, "-c", LISTER, *command], capture_output=True, check=False
        )
        name = " ".join(("bvalign", *command))
        rows[name] = {"seconds": spread(took[1:]), "imports_torch": listed.returncode == 10}
    return rows


def whole_commands(
    rounds: int, members: int = 8, epochs: int = 5, tick: Callable[[], None] = lambda: None
) -> dict[str, object]:
    """Wall and CPU seconds of whole commands, from start to end, in interleaved rounds.

    CPU seconds depend less on what else the machine does; those of W&B's service are among them.
    Both log to W&B offline or not at all.

    Args:
        rounds: number of measurements of each, after a first one that may wait for a disk.
        members: MLPs on digits.
        epochs: of each.
        tick: called after each measurement.
    """
    workload = replace(WORKLOADS["mlp"], pack=members)
    folder = Path(tempfile.mkdtemp(prefix="bvalign-startup-"))
    environment = {"OMP_NUM_THREADS": str(workload.threads), "WANDB_MODE": "offline"}

    def fit(logger: str) -> tuple[float, float]:
        root = folder / "run"
        shutil.rmtree(root, ignore_errors=True)
        more = {"trainer.logger": logger}
        return _run(fit_command(root, workload, "auto", epochs, more), environment)

    def usual(*logged_to: Path) -> tuple[float, float]:
        script = [sys.executable, HERE / "usual.py", members, epochs, *logged_to]
        return _run([str(word) for word in script], environment)

    ways = {
        "fit": lambda: fit("false"),
        "Lightning": usual,
        "fit, W&B": lambda: fit("true"),
        "Lightning, W&B": lambda: usual(folder),
    }
    against = {way: "Lightning, W&B" if "W&B" in way else "Lightning" for way in ways}
    try:
        found = interleaved(ways, rounds + 1, tick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    wall, cpu = ({way: [one[i] for one in took[1:]] for way, took in found.items()} for i in (0, 1))
    return {
        "members": members,
        "epochs": epochs,
        "rows": {
            way: {
                "seconds": spread(wall[way]),
                "cpu_seconds": spread(cpu[way]),
                "over_lightning": ratios(wall[way], wall[against[way]]),
                "cpu_over_lightning": ratios(cpu[way], cpu[against[way]]),
            }
            for way in ways
        },
    }


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Wall and CPU seconds of a process and of those that it waits for."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env=os.environ | (environment or {}), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip().splitlines()[-1]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, cpu


if __name__ == "__main__":
    print(json.dumps(whole_commands(int(sys.argv[1])), indent=1))
