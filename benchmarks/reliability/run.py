"""Interrupts commands wherever they change files, and at random moments; nothing may be lost.

    python -m benchmarks.reliability.run       # everything: hours on two busy cores, and goes on
    python -m benchmarks.reliability.run --parts crash_points --commands fit,analyze --sample 20

A shim (shim.c) counts the calls that change files: to open one for writing, write, fsync, rename,
unlink, truncate, mkdir, rmdir, lock. Each command of commands.py is then run once per call and way:
killed by SIGKILL before the call (`crash_points`; of a write also after half of its bytes), or the
call fails as on a full disk (`enospc`) or a broken one (`eio`), alone and, at a drawn quarter of
the calls, with all that follow. Then the same command is given again. `random_kills` are at drawn
moments, for one process, two ranks and two workers; of the latter two a seeded sample of the points
is tried, too.

Lost is: a file that is neither of before, nor of after, nor whole; a checkpoint; a finished member
that is written again; a command that hangs or does not resume; in the end, any byte of any file
that is not that of the run without interruption, and any file more or less. Unclear is a failure
that is not told in one line with file and remedy and an exit code. Figures and pages are left out
of reports, which changes what is written but not how.

Processes are forks of one that has imported all. States of the folder that are equal byte by byte
are resumed once. Results are kept in --work, and the same command goes on with the rest.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.reliability import moments, pairs, points
from benchmarks.reliability.commands import COMMANDS, make_inputs
from benchmarks.reliability.pool import results_of
from benchmarks.reliability.results_file import HERE, store
from benchmarks.reliability.shim import Call, start_with_shim
from benchmarks.reliability.zygote import warm_up

KILLS = 10
"""In one attempt."""


def try_points(args: argparse.Namespace, parts: list[str]) -> None:
    """Interrupts the commands at their calls, and stores the parts after each command."""
    inputs, calls, tried = args.work / "inputs", {}, {part: [] for part in parts}

    def note(name: str, part: str, made: list[Call], found: list[Mapping]) -> None:
        calls[name] = made
        tried[part] += found
        _tell(found)
        made = {"command": "python -m benchmarks.reliability.run", "commit": _commit()}
        store(part, points.summarised(tried[part], calls) | made, args.out)

    for name in args.commands:
        usually = points.usual(COMMANDS[name], _folder(args.work / "usual"), inputs)
        known = _digest(json.dumps([(c.kind, Path(c.path).suffix) for c in usually.calls]))
        for part in parts:
            todo = list(points.attempts(name, part, usually.calls))
            todo = {one.key: one for one in points.seeded(todo, args.sample or len(todo))}
            file = args.work / f"{name.replace(' ', '-')}-{part}-{known}.jsonl"
            attempt = partial(_point, usually=usually, inputs=inputs)
            found = results_of(todo, attempt, file, args.work, jobs=args.jobs)
            note(name, part, usually.calls, found)
    for way in (pairs.RANKS, pairs.WORKERS) if "crash_points" in parts and args.pairs else ():
        usually, _ = pairs.usual_pair(way, _folder(args.work / "usual"))
        tasks = {f"{way}/{seed}": (way, seed) for seed in range(args.pairs)}
        file = args.work / f"{way.replace(' ', '-')}-points.jsonl"
        attempt = partial(pairs.at_a_call, usually=usually)
        found = results_of(tasks, attempt, file, args.work, jobs=args.jobs)
        note(f"fit, {way}", "crash_points", usually.calls, [r for r in found if r["killed"]])


def try_moments(args: argparse.Namespace) -> None:
    """Kills fits at random moments, and stores the part."""
    inputs, rows = args.work / "inputs", []
    each = -(-args.kills // KILLS)
    shares = {
        moments.ALONE: each - 2 * (each // 5),
        pairs.RANKS: each // 5,
        pairs.WORKERS: each // 5,
    }
    for way, number in shares.items():
        folder, begun = _folder(args.work / "usual"), time.monotonic()
        if way == moments.ALONE:
            usually = points.usual(COMMANDS["fit"], folder, inputs)
            seconds = time.monotonic() - begun
            attempt = partial(_moment, inputs=inputs, usually=usually, seconds=seconds)
        else:
            usually, seconds = pairs.usual_pair(way, folder)
            attempt = partial(_pair_moments, usually=usually, seconds=seconds)
        tasks = {f"moments/{way}/{seed}": (way, seed) for seed in range(number)}
        file = args.work / f"moments-{way.replace(' ', '-')}.jsonl"
        found = results_of(tasks, attempt, file, args.work, jobs=args.jobs)
        _tell(found)
        rows.append(
            {"trained_by": way, "runs": len(found), "kills": sum(r["kills"] for r in found)}
            | {"lost": sum(bool(result["lost"]) for result in found)}
        )
    counts = {"tried": sum(row["kills"] for row in rows), "lost": sum(row["lost"] for row in rows)}
    made = {"command": "python -m benchmarks.reliability.run", "commit": _commit()}
    store("random_kills", counts | {"rows": rows} | made, args.out)


def _point(task: points.Attempt, folder: Path, *, usually: points.Usual, inputs: Path) -> dict:
    return points.tried(task, usually, folder, inputs)


def _moment(task: tuple[str, int], folder: Path, **given: object) -> dict:
    return moments.at_moments(task[1], folder, kills=KILLS, **given)


def _pair_moments(task: tuple[str, int], folder: Path, **given: object) -> dict:
    return pairs.at_moments(task, folder, kills=KILLS, **given)


def _tell(found: list[Mapping]) -> None:
    """Prints what went wrong, each kind once."""
    said = set()
    for result in found:
        wrong = [*result["lost"], *result.get("unclear", ())]
        if wrong and (kind := _digest(" ".join(wrong))) not in said:
            print(f"{result['key']} {result.get('call', '')} {result.get('path', '')}: {wrong}")
            said.add(kind)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _folder(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _commit() -> str | None:
    from bvalign.provenance import provenance

    return provenance()["commit"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = [*points.WAYS, "random_kills"]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--commands", default=",".join(COMMANDS), help="names, with commas")
    parser.add_argument("--sample", type=int, help="points of each command and part; all if left")
    parser.add_argument("--pairs", type=int, default=100, help="points of ranks and of workers")
    parser.add_argument("--kills", type=int, default=1000, help="at random moments, in all")
    parser.add_argument("--jobs", type=int, default=2, help="processes at work")
    parser.add_argument("--work", type=Path, default=Path("runs/reliability"), help="kept results")
    parser.add_argument("--out", type=Path, default=HERE, help="of results.json and results.md")
    args = parser.parse_args()
    args.commands = args.commands.split(",")
    args.work = args.work.resolve()
    return args


def main() -> None:
    args = _arguments()
    start_with_shim()
    warm_up()
    args.work.mkdir(parents=True, exist_ok=True)
    if not (args.work / "inputs" / "made").exists():
        shutil.rmtree(args.work / "inputs", ignore_errors=True)
        make_inputs(args.work / "inputs")
        (args.work / "inputs" / "made").touch()
    if chosen := [part for part in args.parts if part in points.WAYS]:
        try_points(args, chosen)
    if "random_kills" in args.parts:
        try_moments(args)
    sys.stdout.flush()
    os._exit(0)  # what was imported for children need not be taken apart


if __name__ == "__main__":
    main()
