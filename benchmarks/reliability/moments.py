"""One process that is killed at moments that are drawn."""

import random
import shutil
from pathlib import Path

from benchmarks.reliability.commands import COMMANDS, run
from benchmarks.reliability.judge import differences, finished_files, rewritten, tree
from benchmarks.reliability.points import Usual
from benchmarks.reliability.zygote import HUNG, Place

ALONE = "one process"


def at_moments(
    seed: int, folder: Path, inputs: Path, usually: Usual, seconds: float, *, kills: int
) -> dict[str, object]:
    """Kills a fit at moments that are drawn until it was killed so often, and goes on.

    Args:
        seed: of the moments.
        folder: for the run, which begins anew whenever it has ended.
        inputs: made by `make_inputs`.
        usually: the fit without interruption.
        seconds: that it takes.
        kills: number.
    """
    draw, command, place = random.Random(seed), COMMANDS["fit"], Place.of(folder)
    lost, done = [], 0
    shutil.rmtree(place.root, ignore_errors=True)
    while True:
        finished = finished_files(place.root)
        patience = draw.uniform(0, seconds) if done < kills else 10 * seconds + 60
        code = run(command, place, inputs, patience=patience)
        lost += rewritten(finished, place.root)
        if code == HUNG and done < kills:
            done += 1
            continue
        if code:
            lost.append(f"exit code {code}: {place.told()[-300:]}")
        lost += differences(tree(place.root), usually.after)
        if done == kills:
            key = f"moments/{ALONE}/{seed}"
            return {"key": key, "way": ALONE, "kills": done, "lost": sorted(set(lost))}
        shutil.rmtree(place.root, ignore_errors=True)
