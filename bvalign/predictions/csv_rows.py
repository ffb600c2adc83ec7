"""Predictions from a `.csv`, read a few thousand rows at a time."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from bvalign.predictions.long_table import IDS, Chunk, find_columns, from_chunks
from bvalign.predictions.raw import Raw

ROWS_PER_CHUNK = 4096


def open_csv(path: Path) -> Raw:
    """What a `.csv` holds; `long_table` says which columns it must have.

    Raises:
        ValueError: a column is missing, or a row is damaged; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = [name.strip() for name in next(csv.reader(file), [])]
            columns = find_columns(path, names)
            return from_chunks(path, columns, _chunks(path, file, names, columns.scores))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path}: not a whole .csv in UTF-8 ({error})") from error


def _chunks(path: Path, file: TextIO, names: list[str], scores: tuple[str, ...]) -> Iterator[Chunk]:
    at_ids = [names.index(name) for name in IDS]
    at_scores = [names.index(name) for name in scores]
    reader = csv.reader(file)
    while numbered := [(reader.line_num + 1, row) for row in islice(reader, ROWS_PER_CHUNK)]:
        rows = [(line, row) for line, row in numbered if row]
        values = np.empty((len(rows), len(scores)))
        ids = []
        for number, (line, row) in enumerate(rows):
            if len(row) != len(names):
                raise ValueError(
                    f"{path}: line {line} has {len(row)} cells instead of {len(names)}; is the "
                    "file whole?"
                )
            try:
                values[number] = [float(row[at]) for at in at_scores]
                ids.append((row[at_ids[0]], int(row[at_ids[1]]), int(row[at_ids[2]])))
            except ValueError as error:
                raise ValueError(f"{path}: line {line}: {error}") from error
        if ids:
            member, sample, label = zip(*ids, strict=True)
            yield Chunk(member, np.array(sample), np.array(label), values)
