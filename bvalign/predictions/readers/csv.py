"""Predictions from a `.csv`, read a few thousand rows at a time."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from bvalign.predictions.readers.long_table import Chunk, ColumnNames, collect_rows, find_columns
from bvalign.predictions.readers.scores import Scores

ROWS_PER_CHUNK = 4096


def open_csv(path: Path) -> Scores:
    """Opens the scores of a `.csv` with the columns that `long_table` describes.

    Raises:
        ValueError: a column is missing, or a row is damaged; the message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = [name.strip() for name in next(csv.reader(file), [])]
            columns = find_columns(path, names)
            return collect_rows(path, columns, _chunks(path, file, names, columns))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path}: not a complete .csv in UTF-8 ({error})") from error


def _chunks(path: Path, file: TextIO, names: list[str], columns: ColumnNames) -> Iterator[Chunk]:
    at_member, *at_cluster = (names.index(name) for name in columns.names)
    at_ids = [names.index(name) for name in columns.ids]
    at_scores = [names.index(name) for name in columns.scores]
    reader = csv.reader(file)
    while numbered := [(reader.line_num + 1, row) for row in islice(reader, ROWS_PER_CHUNK)]:
        rows = [(line, row) for line, row in numbered if row]
        values = np.empty((len(rows), len(at_scores)))
        ids = np.empty((len(at_ids), len(rows)), dtype=np.int64)
        for number, (line, row) in enumerate(rows):
            if len(row) != len(names):
                raise ValueError(
                    f"{path}: line {line} has {len(row)} cells instead of {len(names)}; is the "
                    "file complete?"
                )
            try:
                values[number] = [float(row[at]) for at in at_scores]
                ids[:, number] = [_whole(names[at], row[at]) for at in at_ids]
            except (ValueError, OverflowError) as error:
                raise ValueError(f"{path}: line {line}: {error}") from error
        if rows:
            member = [row[at_member] for _, row in rows]
            label = ids[1] if len(ids) > 1 else None
            cluster = [row[at_cluster[0]].strip() for _, row in rows] if at_cluster else None
            yield Chunk(member, ids[0], label, values, cluster)


def _whole(name: str, cell: str) -> int:
    """Reads a whole number, also as 3.0: pandas writes labels like that after a join."""
    try:
        return int(cell)
    except ValueError as error:
        whole, _, zeros = cell.strip().partition(".")
        if whole.isdecimal() and not zeros.strip("0"):
            return int(whole)
        raise ValueError(f"column '{name}' must hold whole numbers, got {cell!r}") from error
