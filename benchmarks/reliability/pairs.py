"""Two processes on one run, two ranks or two workers, of which one is killed."""

import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.reliability.commands import fit
from benchmarks.reliability.judge import differences, finished_files, left_behind, rewritten, tree
from benchmarks.reliability.points import Usual
from benchmarks.reliability.shim import Action, read_log
from benchmarks.reliability.zygote import Place, Point, start, wait

RANKS, WORKERS = "two ranks", "two workers"
LAUNCHER = 5.0
"""Seconds after which a launcher has ended the rank that is left."""


class Pair:
    """Two processes that train one run.

    Args:
        way: RANKS or WORKERS.
        folder: of the run and of what the processes say.
    """

    def __init__(self, way: str, folder: Path) -> None:
        self.way, self.folder = way, folder
        self.root = Place.of(folder).root
        self.alive: dict[int, int] = {}  # number -> process id

    def begin(self, victim: int = 0, point: Point = Point()) -> None:  # noqa: B008
        """Starts the processes that do not run; ranks start together.

        Args:
            victim: number of the process that the point is of.
            point: when that one dies.
        """
        port = _free_port()
        for number in {0, 1} - self.alive.keys():
            words = fit(self.root, logger="false")
            if self.way == RANKS:
                words.append("--trainer.devices=2")
            ranks = _rank(number, port) if self.way == RANKS else {}
            this = point if number == victim else Point()
            self.alive[number] = start(words, self.place(number), this, environment=ranks)

    def place(self, number: int) -> Place:
        """The place of one of the processes."""
        return Place.of(self.folder, f"process{number}")

    def ended(self, number: int) -> int:
        """Waits for one of the processes; returns as `wait` does."""
        return wait(self.alive.pop(number))

    def kill(self, number: int, seconds: float) -> bool:
        """Kills one after some seconds; returns False if it had ended before."""
        time.sleep(seconds)
        if os.waitid(os.P_PID, self.alive[number], os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        os.kill(self.alive[number], signal.SIGKILL)
        return True

    def settle(self, victim: int) -> None:
        """Waits for the killed one, and of ranks ends the other soon, as launchers do."""
        self.ended(victim)
        if self.way == RANKS:
            wait(self.alive.pop(1 - victim), LAUNCHER)

    def finish(self) -> list[str]:
        """Lets all end, started again where they have died; says what failed."""
        self.begin()
        codes = {number: self.ended(number) for number in list(self.alive)}
        said = {number: self.place(number).told()[-300:] for number in codes}
        return [f"process {n}: exit code {code}, {said[n]}" for n, code in codes.items() if code]


def usual_pair(way: str, folder: Path) -> tuple[Usual, float]:
    """Trains without interruption; returns that and its seconds.

    Raises:
        RuntimeError: it failed.
    """
    pair, begun = Pair(way, folder), time.monotonic()
    if failed := pair.finish():
        raise RuntimeError(f"{way}: {failed}")
    calls = read_log(pair.place(0).log)
    return Usual(calls, {}, tree(pair.root), ""), time.monotonic() - begun


def at_a_call(task: tuple[str, int], folder: Path, usually: Usual) -> dict[str, object]:
    """Kills one of two at a call that is drawn, and lets them go on.

    Args:
        task: the way, and a seed.
        folder: for the run.
        usually: the same without interruption.
    """
    way, seed = task
    draw, pair = random.Random(f"{way} {seed}"), _anew(way, folder)
    victim, at = draw.randrange(2), draw.randrange(1, len(usually.calls) + 1)
    action = draw.choice([Action.KILL, Action.KILL_HALF])
    pair.begin(victim, Point(action, at))
    lost = []
    code = wait(pair.alive[victim]) if way == WORKERS else None
    if way == WORKERS:
        pair.alive.pop(victim)
    else:
        pair.settle(victim)
    calls = read_log(pair.place(victim).log)
    finished = finished_files(pair.root)
    if way == RANKS:
        lost += left_behind(pair.root, {}, usually.after, calls[:-1])
    lost += pair.finish()
    lost += _checked(pair, finished, usually)
    last = calls[-1] if calls else None
    return {"key": f"{way}/{seed}", "of": f"fit, {way}", "part": "crash_points"} | {
        "call": last.kind if last else "none",
        "at": at,
        "state": f"{way} {seed}",
        "killed": len(calls) == at or code == -9,
        "lost": sorted(set(lost)),
        "unclear": [],
    }


def at_moments(
    task: tuple[str, int], folder: Path, usually: Usual, seconds: float, *, kills: int
) -> dict[str, object]:
    """Kills one of two at moments that are drawn until it was killed so often, and goes on.

    Args:
        task: the way, and a seed.
        folder: for the run, which begins anew whenever it has ended.
        usually: the same without interruption.
        seconds: of the uninterrupted run.
        kills: number.
    """
    way, seed = task
    draw, pair = random.Random(f"moments {way} {seed}"), _anew(way, folder)
    lost, done = [], 0
    while done < kills:
        pair.begin()
        victim = draw.randrange(2)
        finished = finished_files(pair.root)
        if pair.kill(victim, draw.uniform(0, seconds)):
            done += 1
            pair.settle(victim)
            lost += rewritten(finished, pair.root)
            continue
        lost += [*pair.finish(), *_checked(pair, finished, usually)]
        pair = _anew(way, folder)
    lost += [*pair.finish(), *_checked(pair, {}, usually)]
    return {"key": f"moments/{way}/{seed}", "way": way, "kills": done, "lost": sorted(set(lost))}


def _checked(pair: Pair, finished: dict[str, tuple[int, int]], usually: Usual) -> Iterator[str]:
    yield from rewritten(finished, pair.root)
    yield from differences(tree(pair.root), usually.after)


def _anew(way: str, folder: Path) -> Pair:
    pair = Pair(way, folder)
    shutil.rmtree(pair.root, ignore_errors=True)
    return pair


def _rank(number: int, port: int) -> dict[str, str]:
    """Environment variables that torchrun gives a rank."""
    return {
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "GROUP_RANK": "0",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "none",
    }


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]
