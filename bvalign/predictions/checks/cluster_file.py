"""A file beside predictions that names the cluster of every sample.

A `.npy` has integers or strings (samples), in the order of the predictions' own rows; those of a
table and of a run directory are sorted by index. A `.csv` has columns `index` (or `sample`) and
`cluster` and rows in any order; other columns are ignored.
"""

import csv
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from jaxtyping import Int64, Shaped

from bvalign.predictions.scores.mapped import open_npy

INDEX, CLUSTER = ("index", "sample"), "cluster"
NAMED = 5
"""Samples that a message names, of each kind that is wrong."""


def read_cluster_file(
    file: Path, index: Int64[np.ndarray, " samples"]
) -> Shaped[np.ndarray, "..."]:
    """Reads the clusters of a `.npy`, in whatever shape it has them, or of a `.csv` (samples).

    Args:
        file: a `.npy` or `.csv`.
        index: of the samples, in the order of the predictions' own rows.

    Returns:
        The clusters in that order: names, or numbers that stand for them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or a `.csv` does not have every sample exactly once.
    """
    if not file.exists():
        raise FileNotFoundError(f"{file}: there is no such file")
    if file.suffix.lower() == ".npy":
        return open_npy(file).load()
    if file.suffix.lower() != ".csv":
        raise ValueError(f"{file}: clusters must be a .npy or a .csv, got '{file.suffix}'")
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            found, clusters = _read_rows(file, stream)
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{file}: not a complete .csv in UTF-8 ({error})") from error
    order = np.argsort(found, kind="stable")
    _check_samples(file, found[order], index)
    return clusters[order][np.searchsorted(found[order], index)]


def _read_rows(
    file: Path, stream: TextIO
) -> tuple[Int64[np.ndarray, " rows"], Int64[np.ndarray, " rows"]]:
    """Reads the index of each row and a number for its cluster: 16 bytes per row."""
    reader = csv.reader(stream)
    names = [name.strip() for name in next(reader, [])]
    at_index, at_cluster = _columns(file, names)
    codes: dict[str, int] = {}
    index, clusters = array("q"), array("q")
    for row in filter(None, reader):
        if len(row) != len(names):
            raise ValueError(
                f"{file}: line {reader.line_num} has {len(row)} cells instead of {len(names)}; is "
                "the file complete?"
            )
        cluster = row[at_cluster].strip()
        if not cluster:
            raise ValueError(f"{file}: line {reader.line_num}: the cell of '{CLUSTER}' is empty")
        try:
            index.append(int(row[at_index]))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{file}: line {reader.line_num}: {error}") from error
        clusters.append(codes.setdefault(cluster, len(codes)))
    return np.array(index, dtype=np.int64), np.array(clusters, dtype=np.int64)


def _columns(file: Path, names: Sequence[str]) -> tuple[int, int]:
    """Finds the columns of index and cluster."""
    found = [name for name in names if name in INDEX]
    if len(found) != 1 or names.count(CLUSTER) != 1:
        raise ValueError(
            f"{file}: needs one column '{INDEX[0]}' or '{INDEX[1]}' and one '{CLUSTER}', has "
            f"{', '.join(names) or 'none'}"
        )
    return names.index(found[0]), names.index(CLUSTER)


def _check_samples(
    file: Path, found: Int64[np.ndarray, " rows"], index: Int64[np.ndarray, " samples"]
) -> None:
    """Refuses samples that are missing, repeated or unknown; `found` is sorted."""
    if np.array_equal(found, np.sort(index)):
        return
    wrong = (
        ("missing", np.setdiff1d(index, found)),
        ("repeated", np.unique(found[1:][found[1:] == found[:-1]])),
        ("not in the predictions", np.setdiff1d(found, index)),
    )
    told = [
        f"{len(ids)} {what} ({', '.join(map(str, ids[:NAMED]))}{', ...' * (len(ids) > NAMED)})"
        for what, ids in wrong
        if len(ids)
    ]
    raise ValueError(
        f"{file}: each of the {len(index)} samples must occur exactly once, but by their index "
        f"{'; '.join(told)}"
    )
