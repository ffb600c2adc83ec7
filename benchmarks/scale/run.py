"""Growth on paper: seconds and bytes of each stage of `analyze`, and what large sets would cost.

    python benchmarks/scale/run.py           # what results.json does not have yet
    python benchmarks/scale/run.py --fresh   # all rows

Predictions are synthetic: 20 members, 10, 1,000 and 21,841 classes. Rates are of some ranges, as a
range has the same size for any number of samples. What follows the pass is measured on up to ten
million samples whose values are those of a finished small pass in turn. Each row is a process of
its own; seconds are those of the processor where nothing else is said, and the quickest of three
where they are short.

Writes results.json and results.md beside this file, after each row: what is interrupted goes on.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from cost import AFTER, CORES, DISK, NODES, TARGETS, cost, efficiency
from rich.progress import Progress
from stages import MEMBERS, ROUNDS, SMALL, TEN, save
from synthetic import synthetic

from bvalign.predictions.predictions import samples_per_range
from bvalign.provenance import provenance

HERE = Path(__file__).parent
FINISHED = [(n, k) for k in SMALL for n in (100_000, 1_000_000)] + [(10_000_000, 10)]
WHOLE = (10, 10_000_000)
"""Classes and samples of an analysis that is run from its command to its end."""

SHARED_LOGITS = 2**23
"""Of the file that processes share."""

WAYS = ((1, 1), (1, 2), (2, 1), (4, 1))
"""Processes, and threads of each."""


def measured(*words: object) -> dict[str, float]:
    """Runs one measurement of stages.py."""
    done = subprocess.run(_command(words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def shared(classes: int) -> dict[str, float]:
    """Lets processes share a file in each of WAYS; wall seconds a logit, of the quickest round."""
    size = 4 * samples_per_range(MEMBERS, classes)  # of four processes each has as many ranges
    number = max(1, SHARED_LOGITS // (MEMBERS * classes * size)) * size
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ended:
        file = Path(folder, "predictions")
        save(synthetic(MEMBERS, number, classes), file)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        most = max(world for world, _ in WAYS)
        running = [subprocess.Popen(_command(("share", file)), **pipes) for _ in range(most)]
        for one in running:
            ended.enter_context(one)  # which closes its input
            one.stdout.readline()
        rounds: dict[str, list[float]] = {}
        for world, threads in WAYS * ROUNDS:
            start = time.perf_counter()
            for rank, one in enumerate(running[:world]):
                print(rank, world, threads, file=one.stdin, flush=True)
            for one in running[:world]:
                one.stdout.readline()
            rounds.setdefault(f"{world}x{threads}", []).append(time.perf_counter() - start)
    return {way: min(all) / (MEMBERS * number * classes) for way, all in rounds.items()}


def _command(words: tuple) -> list[str]:
    return [sys.executable, str(HERE / "stages.py"), *map(str, words)]


def rows() -> dict[str, tuple]:
    """Name of each row -> what is measured."""
    found = {f"rates {classes}": ("rates", classes) for classes in SMALL}
    found |= {f"share {classes}": ("share", classes) for classes in SMALL}
    found |= {f"finish {k} {n}": ("finish", k, n) for n, k in sorted(FINISHED)}
    return found | {"whole": ("whole", *WHOLE)}


def table(results: dict[str, object]) -> str:
    """The results as Markdown; rows that are not measured yet are left out."""
    found, made = results["rows"], results["made_with"]
    lines = [
        "# Growth on paper",
        "",
        f"Made by `python benchmarks/scale/run.py` on {made['device']}, {os.cpu_count()} cores, "
        f"torch {made['versions']['torch']}, commit {str(made['commit'])[:12]}, {MEMBERS} members; "
        f"load of the machine {results['load']:.1f} at the end. Seconds are those of the processor "
        "where nothing else is said, which other processes on the same cores still slow down.",
        *["", "## Measured", ""],
        *_rates(found),
        "",
        "After the pass, one process: seconds, and the most memory without mapped files. Values "
        "that repeat are quicker to compress than others.",
        "",
        *_finished(found),
        *_whole(found),
        *["", "## On paper", ""],
        *_costs(found),
    ]
    return "\n".join(lines) + "\n"


def _rates(found: dict[str, dict]) -> Iterator[str]:
    names = "read | first pass | values | piece: bytes | piece: µs to write"
    yield f"| classes | {names} | {' | '.join(f'{w} × {t}' for w, t in WAYS)} |"
    yield "| --- " * (6 + len(WAYS)) + "|"
    for classes in SMALL:
        row = found[f"rates {classes}"]
        cells = [f"{row[name] * 1e9:.3g}" for name in ("read", "first", "values")]
        cells += [f"{row['piece_bytes']:.0f}", f"{row['write'] * 1e6:.2g}"]
        ways = found.get(f"share {classes}", {}).values()
        cells += [f"{rate * 1e9:.3g}" for rate in ways] or ["–"] * len(WAYS)
        yield f"| {classes:,} | {' | '.join(cells)} |"
    yield ""
    yield (
        "Nanoseconds a logit: to read it from the page cache and check it, in the first pass (of "
        "the drawn logits alone), and to compute the values. Pieces: for each sample, wall time "
        "with fsync. Last columns: wall nanoseconds a logit of a pass by so many processes × "
        f"threads on {os.cpu_count()} cores."
    )


def _finished(found: dict[str, dict]) -> Iterator[str]:
    yield f"| classes | samples | {' | '.join(AFTER)} | MiB |"
    yield "| --- " * (3 + len(AFTER)) + "|"
    for samples, classes in sorted(FINISHED, key=lambda one: one[::-1]):
        if (row := found.get(f"finish {classes} {samples}")) is None:
            continue
        cells = [f"{row[name]:.3g}" for name in AFTER]
        cells.append(f"{row['memory']:,.0f}")
        yield f"| {classes:,} | {samples:,} | {' | '.join(cells)} |"


def _whole(found: dict[str, dict]) -> Iterator[str]:
    if row := found.get("whole"):
        classes, samples = WHOLE
        size = row["bytes"]
        yield ""
        yield (
            f"`bvalign analyze` of {samples:,} samples, {TEN} members and {classes} classes, from "
            f"its start to its end: {_time(row['wall'])} ({row['processor']:,.0f} s of the "
            f"processor), {row['memory'] / 1024:.2f} GiB at most, mapped files included; "
            f"samples.parquet of {size['samples.parquet'] / 1e9:.2f} GB, report.html of "
            f"{size['report.html'] / 1e6:.0f} MB."
        )


def _costs(found: dict[str, dict]) -> Iterator[str]:
    if not (shared := [classes for classes in SMALL if f"share {classes}" in found]):
        yield "Not computed: the rows of several processes are missing."
        return
    yield (
        "| set | TB | nodes | first pass | pass: disk | pass: processor | pieces | after | whole | "
        "core hours of the pass |"
    )
    yield "| --- " * 10 + "|"
    for name, shape in TARGETS.items():
        if not {f"share {shape[2]}", f"finish {shape[2]} 1000000"} <= found.keys():
            continue
        size = 4 * shape[0] * shape[1] * shape[2] / 1e12
        for nodes in NODES:
            parts = cost(found, shape, nodes)
            cells = [_time(part) for part in (*parts, parts.total)]
            hours = parts.processor * nodes * CORES / 3600
            yield f"| {name} | {size:.3g} | {nodes} | {' | '.join(cells)} | {hours:,.3g} |"
    shares = ", ".join(f"{efficiency(found, k):.0%} at {k:,}" for k in shared)
    yield ""
    yield from (
        "| factor | where from |",
        "| --- | --- |",
        "| seconds a logit and a drawn logit, bytes of a piece | measured, above |",
        "| seconds after the pass | on the line through the two largest N above, of one process |",
        f"| what a second process on the second core adds | measured: {shares} classes; assumed "
        f"to hold for {CORES} processes of a node and for all nodes, which share only files |",
        f"| {CORES} cores a node, each as quick as one of this machine | assumed |",
        f"| {DISK / 1e9:g} GB/s of disk a node, also of a shared disk | assumed |",
        "| float32 logits; disk and processor of the pass at the same time | assumed |",
        "| first pass: by one core, for which the others wait | as the code does it |",
        "| start of processes, waiting for a queue, lost nodes | left out |",
    )


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def main() -> None:
    """Measures the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", action="store_true", help="measure all rows again")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    path = arguments.out / "results.json"
    found = {} if arguments.fresh or not path.exists() else json.loads(path.read_text())["rows"]
    missing = {name: words for name, words in rows().items() if name not in found}
    with Progress() as bar:
        task = bar.add_task("measure", total=len(missing))
        for name, (kind, *words) in missing.items():
            bar.update(task, description=name)
            found[name] = shared(*words) if kind == "share" else measured(kind, *words)
            results = {"made_with": provenance(), "load": os.getloadavg()[1], "rows": found}
            path.write_text(json.dumps(results, indent=1) + "\n")
            if all(f"rates {classes}" in found for classes in SMALL):
                (arguments.out / "results.md").write_text(table(results))
            bar.advance(task)
    print(table(json.loads(path.read_text())))


if __name__ == "__main__":
    main()
