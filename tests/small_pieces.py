"""`bvalign` as a process whose analyses have many small pieces, also in workers of Ray.

`python small_pieces.py LOG PROCESSES ARGUMENTS`: LOG gets a line for each piece that is computed,
with the process and the first range. A piece takes SECONDS more than its work, the first one until
so many processes have begun.
"""

import os
import sys
import time
from functools import partial
from pathlib import Path

SECONDS, PATIENCE = 0.2, 100


def make_small(log, processes):
    """Cuts into pieces of two ranges, each of three samples for 6 members and 7 classes."""
    from bvalign.analysis import passes
    from bvalign.predictions import predictions

    predictions.RANGE_BYTES = 8 * 6 * 7 * 3
    passes.PIECE_RANGES = 2
    compute = passes.Pass._of_ranges

    def slow(self, ranges):
        with log.open("a") as file:
            file.write(f"{os.getpid()} {ranges.start}\n")
        end = time.monotonic() + PATIENCE
        while len({line.split()[0] for line in log.read_text().splitlines()}) < processes:
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(SECONDS)
        return compute(self, ranges)

    passes.Pass._of_ranges = slow


def main():
    from bvalign.cli import main as bvalign
    from bvalign.show.report import write

    log, processes = Path(sys.argv.pop(1)), int(sys.argv.pop(1))
    write.svg = lambda *_: ""
    make_small(log, processes)
    if "--ray" in sys.argv:
        import ray

        hook = {"worker_process_setup_hook": lambda: make_small(log, processes)}
        ray.init = partial(ray.init, runtime_env=hook)
    bvalign()


if __name__ == "__main__":
    main()
