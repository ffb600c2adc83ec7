"""Runs `bvalign` command lines in one process that has the simulated device.

python tests/simulated/fit.py "fit --trainer.accelerator=simulated --trainer.strategy=simulated"

Each argument is a command line. After each, a line of JSON tells what happened on the device since
the start of its first wave: `launches`, `waits` and `copied` of `Counts`; `waves`, the bytes in
memory before and after the training of each; `live_bytes`, those at the end; and `stopped`, what
ended the command before its time. There are no reports.
"""

import gc
import json
import shlex
import sys

from bvalign.cli import main
from bvalign.commands.fit import EnsembleCLI
from tests.simulated.accelerator import Waves, register
from tests.simulated.device import COUNTS, MEMORY

if __name__ == "__main__":
    register()
    EnsembleCLI._report = lambda *_: None  # half of a tiny fit, and all on the CPU
    lines, watch = sys.argv[1:], "--trainer.callbacks+=tests.simulated.accelerator.Waves"
    for line in lines:
        COUNTS.clear()
        Waves.live_bytes.clear()
        sys.argv[1:] = [*shlex.split(line), watch]
        stopped = None
        try:
            main()
        except SystemExit as stop:
            stopped = stop.code
        gc.collect()
        memory = {"waves": Waves.live_bytes, "live_bytes": MEMORY.live_bytes()}
        print(json.dumps({**vars(COUNTS), **memory, "stopped": stopped}), flush=True)
