"""Draws of cells: one simulated ensemble each, measured, and kept in a file per cell.

A file holds the definition of its cell, a digest of the code that made the numbers, and the draws
that are done. It is replaced as a whole, so a killed run loses the draws of the last seconds and
continues; draws of other code or of another cell are refused, not mixed.
"""

import hashlib
import json
import os
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from cells import CELLS, NOISES, Cell
from ensembles import simulate
from measure import LINES, Number, measure
from truths import described

import bvalign
from bvalign.atomic import write_atomic

SAVE_SECONDS = 5.0
MINE = ("cells.py", "distributions.py", "draws.py", "ensembles.py", "measure.py")
"""Files here that determine a draw."""

Draw = dict[str, object]


def draw(name: str, seed: int) -> Draw:
    """Simulates one ensemble of a cell and measures it; an error or a warning is recorded."""
    cell = CELLS[name]
    rng = np.random.default_rng((seed, zlib.crc32(cell.name.encode())))
    logits, target = simulate(NOISES[cell.noise], *cell[1:4], rng)
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            measured = measure(logits, target)
        except (ArithmeticError, RuntimeError, ValueError, Warning) as error:
            return {"seed": seed, "error": f"{type(error).__name__}: {error}"}
    seconds = time.monotonic() - start
    return {"seed": seed, "seconds": round(seconds, 3), **_compact(measured)}


def _compact(measured: dict[str, object]) -> Draw:
    """Keeps of every number what coverage needs: [value, low, high], or None."""
    numbers = {name: _ends(measured[name]) for name in ("slope", "offset", *LINES)}
    return {
        **numbers,
        "reason": {n: measured[n].get("reason") for n in ("slope", "offset") if not numbers[n]},
        "flags": list(measured["flags"]),
        "quotable": bool(measured["quotable"]),
        "means": {name: _ends(number) for name, number in measured["means"].items()},
    }


def _ends(number: Number) -> list[float | None] | None:
    """Value and ends of its interval, of that over samples where members give none."""
    if number["value"] is None:
        return None
    low, high = number["interval"] or number.get("interval_samples") or (None, None)
    return [number["value"], low, high]


class Store:
    """The draws of every cell in a folder.

    Attributes:
        folder: holds one file per cell.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._code = code_digest()

    def read(self, cell: Cell) -> list[Draw]:
        """Draws done so far, by seed.

        Raises:
            ValueError: they are of another cell of that name, or were made by other code.
        """
        file = self._file(cell)
        if not file.exists():
            return []
        stored = json.loads(file.read_text())
        for what, now in self._origin(cell).items():
            if stored[what] != now:
                raise ValueError(
                    f"{file} must hold draws of this {what}, got those of {stored[what]}; remove "
                    f"it or give another --work (now: {now})"
                )
        return sorted(stored["draws"], key=lambda one: one["seed"])

    def write(self, cell: Cell, draws: list[Draw]) -> None:
        """Replaces the file of a cell."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(self._origin(cell) | {"draws": draws})
        write_atomic(self._file(cell), content.encode())

    def _file(self, cell: Cell) -> Path:
        return self.folder / f"{cell.name}.json"

    def _origin(self, cell: Cell) -> dict[str, object]:
        return {"cell": described(cell), "code": self._code}


def code_digest() -> str:
    """Digest of all code that determines a draw: the analysis and the simulation."""
    analysis = Path(bvalign.__file__).parent / "analysis"
    files = {str(file.relative_to(analysis)): file for file in analysis.rglob("*.py")}
    files |= {f"here/{name}": Path(__file__).with_name(name) for name in MINE}
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + files[name].read_bytes())
    return digest.hexdigest()[:16]


def make_draws(store: Store, cells: list[Cell], number: int, workers: int) -> Iterator[Cell]:
    """Makes the draws that are missing, cell after cell; yields the cell of each finished one.

    Args:
        store: where draws are kept; written every `SAVE_SECONDS` and at the end of each cell.
        cells: those to complete.
        number: draws of each cell, of seeds 0, 1, ...
        workers: processes; with one, this process works by itself.
    """
    with _workers(workers) as draws_of:
        for cell in cells:
            done = store.read(cell)
            seeds = sorted(set(range(number)) - {one["seed"] for one in done})
            saved = time.monotonic()
            for one in draws_of(cell.name, seeds):
                done.append(one)
                if time.monotonic() - saved > SAVE_SECONDS:
                    store.write(cell, done)
                    saved = time.monotonic()
                yield cell
            if seeds:
                store.write(cell, done)


@contextmanager
def _workers(number: int) -> Iterator[Callable[[str, list[int]], Iterator[Draw]]]:
    """Yields a function that makes draws of a cell, in processes or in this one."""
    if number == 1:
        yield lambda name, seeds: (draw(name, seed) for seed in seeds)
        return
    pool = ProcessPoolExecutor(number, get_context("spawn"), _start_worker, (os.getpid(),))
    try:
        yield lambda name, seeds: (
            future.result()
            for future in as_completed([pool.submit(draw, name, seed) for seed in seeds])
        )
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(parent: int) -> None:
    """One thread for the numbers, and one that ends this process with the one that started it."""
    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
