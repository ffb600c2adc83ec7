"""Measurements in a process of their own, which print a line of JSON, all but `share`.

rates CLASSES             seconds and bytes of reading, first pass, values, pieces
finish CLASSES SAMPLES    seconds of all that follows the pass; memory
whole CLASSES SAMPLES     seconds and memory of `bvalign analyze`, ten members in a file each
share FILE RANK WORLD THREADS    seconds of a share of a pass, after `ready` and a line of input
"""

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from synthetic import Repeated, synthetic, write_members

from bvalign import open_predictions
from bvalign.analysis.collect import one_thread_each
from bvalign.analysis.pieces import Pieces
from bvalign.commands.passes import of_predictions
from bvalign.decisions import Options, decide
from bvalign.predictions.predictions import Predictions, samples_per_range
from bvalign.show.report.sample_files import write_samples
from bvalign.show.report.write import write_report

Result = TypeVar("Result")

MEMBERS, TEN = 20, 10
SMALL = {10: 10_480, 1000: 650, 21_841: 30}
"""Classes -> samples whose values are computed."""

LARGE = {10: 10_000_000, 1000: 1_280_000, 21_841: 14_200_000}
"""Classes -> samples of the set that is thought of: CIFAR-like, ImageNet-1k, ImageNet-21k."""

ROUNDS = 3
"""Short measurements are repeated, and the quickest counts: other processes only slow one down."""


def rates(classes: int) -> dict[str, float]:
    """Measures the pass on the samples of SMALL, one thread; seconds are those of the processor."""
    number = SMALL[classes]
    given, size = synthetic(MEMBERS, number, classes), samples_per_range(MEMBERS, classes)
    with tempfile.TemporaryDirectory() as folder, one_thread_each():
        save(given, Path(folder, "predictions"))
        predictions, _ = open_predictions(Path(folder, "predictions"))
        run = of_predictions(predictions, Pieces())
        ranges = range(min(run.cut.num_ranges, 40))
        logits = MEMBERS * classes * min(len(ranges) * size, number)
        found = {"read": quickest(lambda: [predictions.range(r) for r in ranges]) / logits}
        start = time.process_time()
        run._drawn  # noqa: B018 (which reads all ranges)
        found["first"] = (time.process_time() - start) / (MEMBERS * classes * number)
        parts = [run.cut.read(r) for r in ranges]
        found["values"] = quickest(lambda: [run.compute(part) for part in parts]) / logits
        whole = Repeated(run, LARGE[classes], Pieces())
        values, pieces = whole.piece(0), Pieces(Path(folder, "pieces"))
        written = []
        for part in range(ROUNDS):
            start = time.perf_counter()
            pieces.kept(str(part), whole.kind, lambda: values)
            written.append(time.perf_counter() - start)
        in_piece = len(values.target)
        found |= {
            "write": min(written) / in_piece,
            "piece_bytes": pieces._path("0").stat().st_size / in_piece,
            "drawn": len(whole.places["drawn"]),
            "read_first": min(len(whole._drawn_ranges) * size, LARGE[classes]),
        }
    return found


def finish(classes: int, samples: int) -> dict[str, float]:
    """Measures what follows the pass over so many samples, with its pieces in files."""
    small = of_predictions(synthetic(MEMBERS, SMALL[classes], classes), Pieces())
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, most_memory() as most:
        out = Path(folder, "out")
        run = Repeated(small, samples, Pieces(Path(folder, "pieces")))
        for number in range(run.cut.num_pieces):
            run.piece(number)
        values = timed(found, "join", run.joined)
        run.joined = lambda: values
        analysis = timed(found, "fits", run.finish)
        decisions = timed(found, "decide", lambda: decide(analysis, Options()))
        out.mkdir()
        columns = analysis.columns()
        for decision in decisions.values():
            columns |= decision.columns()
        timed(found, "parquet", lambda: write_samples(out / "samples.parquet", columns))
        origin, options = {"source": "synthetic"}, {"decisions": decisions, "samples": "none"}
        report = lambda: write_report(analysis, run.predictions, origin, out, **options)  # noqa: E731
        timed(found, "report", report)
    return found | {"memory": most[0]}


def whole(classes: int, samples: int) -> dict[str, float]:
    """Measures the command itself, its mapped files included in the memory."""
    with tempfile.TemporaryDirectory() as folder:
        predictions, out = Path(folder, "predictions"), Path(folder, "out")
        write_members(predictions, TEN, samples, classes)
        start = time.perf_counter()
        command = [sys.executable, "-m", "bvalign", "analyze", str(predictions), "--out", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        sizes = {path.name: path.stat().st_size for path in out.iterdir()}
    return {"wall": seconds, "processor": used.ru_utime + used.ru_stime} | {
        "memory": used.ru_maxrss / 1024,
        "bytes": sizes,
    }


def share(file: str) -> None:
    """Answers each line `RANK WORLD THREADS` with the seconds of that share of the ranges."""
    run = of_predictions(open_predictions(Path(file))[0], Pieces())
    number = run.cut.num_ranges
    run.prepare()
    print("ready", flush=True)
    for line in sys.stdin:
        rank, world, threads = map(int, line.split())
        torch.set_num_threads(threads)
        start = time.perf_counter()
        run._of_ranges(range(number * rank // world, number * (rank + 1) // world))
        print(time.perf_counter() - start, flush=True)


def save(predictions: Predictions, folder: Path) -> None:
    """Writes predictions as arrays."""
    folder.mkdir()
    np.save(folder / "logits.npy", predictions.read(0, predictions.num_samples).numpy())
    np.save(folder / "labels.npy", predictions.target)


def quickest(work: Callable[[], object]) -> float:
    """Seconds of the processor in the quickest of several rounds."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def timed(found: dict[str, float], name: str, work: Callable[[], Result]) -> Result:
    """Does something, and notes the seconds that the processor and the clock took."""
    start = time.process_time(), time.perf_counter()
    result = work()
    found[name] = time.process_time() - start[0]
    found[f"{name}_wall"] = time.perf_counter() - start[1]
    return result


@contextmanager
def most_memory() -> Iterator[list[float]]:
    """Yields a list whose only number is the most MiB held, without mapped files."""
    most, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            held = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
            most[0] = max(most[0], held / 1024)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield most
    finally:
        ended.set()
        watching.join()


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    if kind == "share":
        share(*words)
    else:
        print(
            json.dumps({"rates": rates, "finish": finish, "whole": whole}[kind](*map(int, words)))
        )
