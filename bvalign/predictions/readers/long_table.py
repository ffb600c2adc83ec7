"""Tables with one row per member and sample, in any order, from whatever reads them in chunks.

Columns are `member` (numbers or names), `sample` (row of the data set), optionally `label` (class
id), and either `logit0`, `logit1`, ... or `p0`, `p1`, ...; other columns are ignored. Scores go to
a nameless file in TMPDIR as they come (8 bytes each) and are mapped there; in memory stay 28 bytes
per row.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from bvalign.predictions.readers.mapped import MappedArray, Rows, Scratch, write_scratch
from bvalign.predictions.readers.scores import Raw

IDS = ("member", "sample")
LABEL = "label"
PREFIXES = {"logit": "logits", "p": "probs"}


class Columns(NamedTuple):
    """Which columns of a table are meant."""

    key: str  # logits or probs
    ids: tuple[str, ...]  # member, sample, and label if there is one
    scores: tuple[str, ...]  # by class


class Chunk(NamedTuple):
    """Some rows of a table."""

    member: Sequence[int | str]
    sample: np.ndarray
    label: np.ndarray | None
    scores: np.ndarray  # (rows, classes)


def find_columns(path: Path, names: Sequence[str]) -> Columns:
    """Finds the columns of ids and scores.

    Raises:
        ValueError: a column is missing or double.
    """
    ids = (*IDS, LABEL) if LABEL in names else IDS
    for prefix, key in PREFIXES.items():
        scores = [n for n in names if n.startswith(prefix) and n.removeprefix(prefix).isdecimal()]
        wanted = tuple(f"{prefix}{k}" for k in range(len(scores)))
        missing = [name for name in (*ids, *wanted) if list(names).count(name) != 1]
        if scores and missing:
            raise ValueError(f"{path}: needs one column '{missing[0]}', has {_short(names)}")
        if scores:
            return Columns(key, ids, wanted)
    raise ValueError(
        f"{path}: needs columns member, sample, and logit0, logit1, ... or p0, p1, ..., has "
        f"{_short(names)}"
    )


def from_chunks(
    path: Path, columns: Columns, chunks: Iterable[Chunk], dtypes: tuple[str, ...] = ("float64",)
) -> Raw:
    """Collects rows into one table.

    Raises:
        ValueError: members hold different samples, or a row comes twice.
    """
    file, codes = Scratch(), {}
    parts: list[tuple[np.ndarray, ...]] = []
    for chunk in chunks:
        write_scratch(file, np.ascontiguousarray(chunk.scores, dtype=np.float64).data, path)
        code = np.array([codes.setdefault(m, len(codes)) for m in chunk.member], dtype=np.int32)
        given = [column for column in (chunk.sample, chunk.label) if column is not None]
        parts.append((code, *(column.astype(np.int64) for column in given)))
    if not parts:
        raise ValueError(f"{path}: has no rows")
    member, sample, *label = (np.concatenate(column) for column in zip(*parts, strict=True))
    ids = [int(m) if str(m).isdecimal() else m for m in codes]
    names = np.array(ids if all(isinstance(m, int) for m in ids) else [str(m) for m in codes])
    order = np.argsort(names, kind="stable")
    names, rank = names[order].tolist(), np.argsort(order)
    index, column = np.unique(sample, return_inverse=True)
    position = _positions(path, names, index, rank[member], column)
    num_classes = len(columns.scores)
    table = MappedArray(path, file, 0, np.dtype(np.float64), (len(member), num_classes))

    def rows(rows: Rows) -> torch.Tensor:
        at = position[:, rows]
        return table.take(at.ravel(), axis=0).view(*at.shape, num_classes)

    return Raw(
        path=path,
        key=columns.key,
        shape=(*position.shape, num_classes),
        dtypes=dtypes,
        rows=rows,
        labels=label[0][position] if label else None,
        index=index,
        members=np.array(names),
    )


def _positions(
    path: Path, names: list[int | str], index: np.ndarray, member: np.ndarray, sample: np.ndarray
) -> np.ndarray:
    """Row of the table of each member and sample (members, samples)."""
    position = np.full((len(names), len(index)), -1)
    position[member, sample] = np.arange(len(member))
    absent = (position < 0).sum(axis=1)
    if len(member) > position.size - absent.sum():
        again = np.flatnonzero(position[member, sample] != np.arange(len(member)))
        row = again[0]
        raise ValueError(
            f"{path}: every member must hold a sample once, but {len(again)} rows come twice; the "
            f"first is member {names[member[row]]}, sample {index[sample[row]]}"
        )
    if absent.any():
        first = int(np.flatnonzero(absent)[0])
        lacking = ", ".join(
            f"member {name} lacks {count} of {len(index)}"
            for name, count in zip(names, absent.tolist(), strict=True)
            if count
        )
        raise ValueError(
            f"{path}: all members must hold the same samples, but {lacking}; the first that "
            f"member {names[first]} lacks is sample {index[np.flatnonzero(position[first] < 0)[0]]}"
        )
    return position


def _short(names: Sequence[str]) -> str:
    return (", ".join(names[:8]) or "none") + (", ..." if len(names) > 8 else "")
