"""A file beside predictions that says something of every sample: its cluster, or its groups.

A `.npy` has integers or strings (samples), in the order of the predictions' own rows; those of a
table and of a run directory are sorted by index. A `.csv` has a column `index` or `sample`, columns
of numbers or names, and rows in any order. Samples whose predictions have names in place of numbers
are found by these in a column `sample`.
"""

import csv
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from jaxtyping import Int64, Shaped

from bvalign.predictions.damage import check_file, damaged
from bvalign.predictions.scores.mapped import open_npy

INDEX = ("index", "sample")
NAMED = 5
"""Samples that a message names, of each kind that is wrong."""


class Column(NamedTuple):
    """A column of a `.csv`: 8 bytes per row, and each different cell once."""

    cells: Mapping[str, int]  # different cells, numbered as they first appear
    numbers: Int64[np.ndarray, " rows"]


def read_npy(file: Path) -> Shaped[np.ndarray, "..."]:
    """Reads a `.npy`, in whatever shape it is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    check_file(file)
    return open_npy(file).load()


def read_csv(
    file: Path, samples: Shaped[np.ndarray, " samples"], only: str | None = None
) -> dict[str, Column]:
    """Reads the columns of a `.csv` beside that of samples.

    Args:
        file: a `.csv`.
        samples: numbers or names of the samples, in the order of the predictions' own rows.
        only: the one column that is read, whose cells must not be empty; None for all.

    Returns:
        The columns by name, in the order of the samples.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or does not have every sample exactly once.
    """
    check_file(file)
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            found, columns = _read_rows(file, stream, samples, only)
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise damaged(file, ".csv in UTF-8", error) from error
    rows = rows_of(file, found, samples)
    return {name: Column(cells, numbers[rows]) for name, (cells, numbers) in columns.items()}


def rows_of(
    file: Path, found: Shaped[np.ndarray, " rows"], samples: Shaped[np.ndarray, " samples"]
) -> Int64[np.ndarray, " samples"]:
    """Finds the row of each sample.

    Args:
        file: named in messages.
        found: numbers or names of samples, row by row; numbers of named ones count from 0.
        samples: all that must be there, exactly once.

    Raises:
        ValueError: samples are missing, repeated or unknown.
    """
    if samples.dtype.kind == "U" and found.dtype.kind != "U":
        samples = np.arange(len(samples))
    order = np.argsort(found, kind="stable")
    found = found[order]
    if np.array_equal(found, np.sort(samples)):
        return order[np.searchsorted(found, samples)]
    wrong = (
        ("missing", np.setdiff1d(samples, found)),
        ("repeated", np.unique(found[1:][found[1:] == found[:-1]])),
        ("not in the predictions", np.setdiff1d(found, samples)),
    )
    told = [
        f"{len(ids)} {what} ({', '.join(map(str, ids[:NAMED]))}{', ...' * (len(ids) > NAMED)})"
        for what, ids in wrong
        if len(ids)
    ]
    by = "name" if samples.dtype.kind == "U" else "index"
    raise ValueError(
        f"{file}: each of the {len(samples)} samples must occur exactly once, but by their {by} "
        f"{'; '.join(told)}"
    )


def _read_rows(
    file: Path, stream: TextIO, samples: Shaped[np.ndarray, " samples"], only: str | None
) -> tuple[Shaped[np.ndarray, " rows"], dict[str, Column]]:
    """Reads the sample of each row, and a number for each other cell."""
    reader = csv.reader(stream)
    names = [name.strip() for name in next(reader, [])]
    key, others = _columns(file, names, only)
    named = key == "sample" and samples.dtype.kind == "U"
    at_sample, places = names.index(key), {name: names.index(name) for name in others}
    cells: dict[str, dict[str, int]] = {name: {} for name in others}
    found, numbers = [] if named else array("q"), {name: array("q") for name in others}
    for row in filter(None, reader):
        if len(row) != len(names):
            raise ValueError(
                f"{file}: line {reader.line_num} has {len(row)} cells instead of {len(names)}; is "
                "the file complete?"
            )
        for name, place in places.items():
            cell = row[place].strip()
            if only and not cell:
                raise ValueError(f"{file}: line {reader.line_num}: the cell of '{only}' is empty")
            numbers[name].append(cells[name].setdefault(cell, len(cells[name])))
        try:
            found.append(row[at_sample].strip() if named else int(row[at_sample]))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{file}: line {reader.line_num}: {error}") from error
    columns = {n: Column(cells[n], np.array(numbers[n], dtype=np.int64)) for n in others}
    return np.array(found, dtype=str if named else np.int64), columns


def _columns(file: Path, names: Sequence[str], only: str | None) -> tuple[str, list[str]]:
    """Finds the column of samples, and the others that are wanted."""
    keys = [name for name in names if name in INDEX]
    others = [name for name in names if name and name not in INDEX and only in (None, name)]
    if len(keys) == 1 and others and len({*others}) == len(others):
        return keys[0], others
    wanted = f"one '{only}'" if only else "others of different names"
    raise ValueError(
        f"{file}: needs one column '{INDEX[0]}' or '{INDEX[1]}' and {wanted}, has "
        f"{', '.join(names) or 'none'}"
    )
