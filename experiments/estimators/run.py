"""How well the interval of the population slope covers, on simulated ensembles with known truth.

    python experiments/estimators/run.py                 # all cells; results.json, results.md here
    python experiments/estimators/run.py --cells gauss-M8-N10000-K10 --draws 20
    python experiments/estimators/run.py --draws 0       # the tables anew from the stored draws

Every cell of `cells.py` is drawn 300 times and measured as any ensemble would be (`measure.py`);
the truth is in truths.json (`truths.py`). Draws are kept in runs/estimators, one file per cell: a
run that is killed continues with the same command, and draws of other code are refused.
All 62 cells take three to five core hours: 0.1 to 0.5 seconds a draw, more where there are 10,000
samples or 100 classes.
"""

import argparse
import json
import os
from pathlib import Path

import torch
from cells import CELLS, Cell
from coverage_tables import markdown
from draws import Store, make_draws
from rich.console import Console
from rows import Row, row_of
from truths import read_truth

from bvalign.atomic import write_atomic
from bvalign.provenance import provenance
from bvalign.show.progress_bar import progress

SCHEMA = 1
OVERHEAD = 2_000_000
"""Cost of a draw whatever its size, in logits; only for the time left."""


def run(cells: list[Cell], draws: int, workers: int, store: Store) -> None:
    """Makes the missing draws of these cells, with a progress bar."""
    with progress(Console(stderr=True)) as bar:
        todo = {cell: max(0, draws - len(store.read(cell))) for cell in cells}
        task = bar.add_task("draws", total=sum(number * _cost(c) for c, number in todo.items()))
        for cell in make_draws(store, cells, draws, workers):
            bar.update(task, advance=_cost(cell), description=cell.name)


def rows(store: Store, truths: Path) -> list[Row]:
    """Rows of all cells that have draws, in the order of the list."""
    done = {cell: store.read(cell) for cell in CELLS.values()}
    return [row_of(cell, draws, read_truth(cell, truths)) for cell, draws in done.items() if draws]


def write(rows: list[Row], out: Path) -> None:
    """Writes results.json and results.md."""
    out.mkdir(parents=True, exist_ok=True)
    hours = sum(row["draws"] * (row["seconds"] or 0) for row in rows) / 3600
    origin = {"core_hours": round(hours, 2), "cells_of_list": len(CELLS), **provenance()}
    results = {"schema": SCHEMA, "origin": origin, "rows": rows}
    write_atomic(out / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    draws = [row["draws"] for row in rows]
    header = (
        f"{len(rows)} of {len(CELLS)} cells, {min(draws)} to {max(draws)} draws each, "
        f"{hours:.1f} core hours of analysis. A cell is a noise with M members, N "
        "samples and K classes. Coverage counts every draw that gives an interval, flagged or not, "
        "unless it says unflagged; ± is one Monte Carlo standard error. Made by `python "
        "experiments/estimators/run.py`; [cells.py](cells.py) lists the cells, "
        "[ensembles.py](ensembles.py) says what the noises are."
    )
    write_atomic(out / "results.md", markdown(rows, header).encode())


def _cost(cell: Cell) -> int:
    return OVERHEAD + cell.members * cell.samples * cell.classes


def main() -> None:
    folder = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cells", nargs="+", default=list(CELLS), metavar="CELL", choices=CELLS)
    parser.add_argument("--draws", type=int, default=300, help="ensembles per cell")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--work", type=Path, default=Path("runs/estimators"), help="keeps draws")
    parser.add_argument("--out", type=Path, default=folder, help="folder of the results")
    parser.add_argument("--truths", type=Path, default=folder / "truths.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    store = Store(args.work)
    cells = [CELLS[name] for name in args.cells]
    for cell in cells:
        read_truth(cell, args.truths)  # an old one is refused before the night, not after
    run(cells, args.draws, args.workers, store)
    found = rows(store, args.truths)
    if not found:
        raise SystemExit(f"{args.work} holds no draws; run without --draws 0")
    write(found, args.out)
    print(f"{args.out / 'results.md'}: {len(found)} of {len(CELLS)} cells")


if __name__ == "__main__":
    main()
