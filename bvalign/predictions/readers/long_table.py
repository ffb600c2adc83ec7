"""Tables with one row per member and sample, in any order, that a reader passes on in chunks.

Columns are `member` (numbers or names), `sample` (row of the data set), optionally `label` (class
id) and `cluster` (number or name, the same in all rows of a sample), and either `logit0`, `logit1`,
... or `p0`, `p1`, ...; other columns are ignored. Scores are appended to an anonymous file in
TMPDIR (8 bytes each) and mapped there; 28 bytes per row stay in memory, with clusters 32.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer
from torch import Tensor

from bvalign.predictions.readers.mapped import MappedArray, Rows, Scratch, write_scratch
from bvalign.predictions.readers.scores import Scores

MEMBER, SAMPLE = "member", "sample"
LABEL, CLUSTER = "label", "cluster"
PREFIXES = {"logit": "logits", "p": "probs"}


class ColumnNames(NamedTuple):
    """Names of the columns that are read."""

    key: str  # logits or probs
    names: tuple[str, ...]  # member, and cluster if there is one: numbers or names
    ids: tuple[str, ...]  # sample, and label if there is one: integers
    scores: tuple[str, ...]  # by class


class Chunk(NamedTuple):
    """Successive rows."""

    member: Sequence[int | str]
    sample: Integer[np.ndarray, " rows"]
    label: Integer[np.ndarray, " rows"] | None
    scores: Float[np.ndarray, "rows classes"]
    cluster: Sequence[int | str] | None


def find_columns(path: Path, names: Sequence[str]) -> ColumnNames:
    """Finds the columns of ids and scores.

    Raises:
        ValueError: a column is missing or occurs twice.
    """
    named = (MEMBER, CLUSTER) if CLUSTER in names else (MEMBER,)
    ids = (SAMPLE, LABEL) if LABEL in names else (SAMPLE,)
    for prefix, key in PREFIXES.items():
        scores = [n for n in names if n.startswith(prefix) and n.removeprefix(prefix).isdecimal()]
        wanted = tuple(f"{prefix}{k}" for k in range(len(scores)))
        missing = [name for name in (*named, *ids, *wanted) if list(names).count(name) != 1]
        if scores and missing:
            raise ValueError(f"{path}: needs one column '{missing[0]}', has {_short(names)}")
        if scores:
            return ColumnNames(key, named, ids, wanted)
    raise ValueError(
        f"{path}: needs columns member, sample, and logit0, logit1, ... or p0, p1, ..., has "
        f"{_short(names)}"
    )


def collect_rows(
    path: Path,
    columns: ColumnNames,
    chunks: Iterable[Chunk],
    dtypes: tuple[str, ...] = ("float64",),
) -> Scores:
    """Collects the rows of all chunks and finds the row of every member and sample.

    Raises:
        ValueError: members have different samples, a row is repeated, or rows of one sample have
            different clusters.
    """
    file, codes, clusters = Scratch(), {}, {}
    ids: dict[str, list[np.ndarray]] = defaultdict(list)
    for chunk in chunks:
        write_scratch(file, np.ascontiguousarray(chunk.scores, dtype=np.float64).data, path)
        ids[MEMBER].append(_number(chunk.member, codes))
        ids[SAMPLE].append(chunk.sample.astype(np.int64))
        if chunk.label is not None:
            ids[LABEL].append(chunk.label.astype(np.int64))
        if chunk.cluster is not None:
            ids[CLUSTER].append(_number(chunk.cluster, clusters))
    if not ids:
        raise ValueError(f"{path}: has no rows")
    column = {name: np.concatenate(parts) for name, parts in ids.items()}
    member = column[MEMBER]
    numbers = [int(m) if str(m).isdecimal() else m for m in codes]
    all_numbers = all(isinstance(m, int) for m in numbers)
    names = np.array(numbers if all_numbers else [str(m) for m in codes])
    order = np.argsort(names, kind="stable")
    names, rank = names[order].tolist(), np.argsort(order)
    index, sample = np.unique(column[SAMPLE], return_inverse=True)
    row = _find_rows(path, names, index, rank[member], sample)
    num_classes = len(columns.scores)
    scores = MappedArray(path, file, 0, np.dtype(np.float64), (len(member), num_classes))

    def take(rows: Rows) -> Float[Tensor, "members rows classes"]:
        wanted = row[:, rows]
        return scores.take(wanted.ravel(), axis=0).view(*wanted.shape, num_classes)

    return Scores(
        path=path,
        key=columns.key,
        shape=(*row.shape, num_classes),
        dtypes=dtypes,
        take=take,
        labels=column[LABEL][row] if LABEL in column else None,
        index=index,
        members=np.array(names),
        clusters=_of_samples(path, index, column[CLUSTER][row], clusters) if clusters else None,
    )


def _number(names: Sequence[int | str], codes: dict[int | str, int]) -> Int[np.ndarray, " rows"]:
    """Numbers names in the order in which they first appear; remembers them in `codes`."""
    return np.array([codes.setdefault(name, len(codes)) for name in names], dtype=np.int32)


def _of_samples(
    path: Path,
    index: Int[np.ndarray, " samples"],
    clusters: Int[np.ndarray, "members samples"],
    codes: dict[int | str, int],
) -> Int[np.ndarray, " samples"]:
    """Gives the number of the cluster that all rows of a sample have."""
    several = np.flatnonzero((clusters != clusters[0]).any(axis=0))
    if len(several):
        names = list(codes)
        first = sorted({str(names[code]) for code in clusters[:, several[0]]})
        raise ValueError(
            f"{path}: all rows of a sample must have the same '{CLUSTER}', but {len(several)} of "
            f"{len(index)} samples have several; the first is sample {index[several[0]]} with "
            f"{_short(first)}"
        )
    empty = np.flatnonzero(clusters[0] == codes.get("", -1))
    if len(empty):
        raise ValueError(
            f"{path}: column '{CLUSTER}' is empty for {len(empty)} of {len(index)} samples, the "
            f"first is {index[empty[0]]}; give a sample that stands alone a cluster of its own"
        )
    return clusters[0]


def _find_rows(
    path: Path,
    names: list[int | str],
    index: Int[np.ndarray, " samples"],
    member: Int[np.ndarray, " rows"],
    sample: Int[np.ndarray, " rows"],
) -> Int[np.ndarray, "members samples"]:
    """Finds the row of each member and sample."""
    row = np.full((len(names), len(index)), -1)
    row[member, sample] = np.arange(len(member))
    absent = (row < 0).sum(axis=1)
    if len(member) > row.size - absent.sum():
        repeated = np.flatnonzero(row[member, sample] != np.arange(len(member)))
        first = repeated[0]
        raise ValueError(
            f"{path}: every member must have each sample once, but {len(repeated)} rows are "
            f"repeated; the first is member {names[member[first]]}, sample {index[sample[first]]}"
        )
    if absent.any():
        first = int(np.flatnonzero(absent)[0])
        lacking = ", ".join(
            f"member {name} lacks {count} of {len(index)}"
            for name, count in zip(names, absent.tolist(), strict=True)
            if count
        )
        raise ValueError(
            f"{path}: all members must have the same samples, but {lacking}; the first that "
            f"member {names[first]} lacks is sample {index[np.flatnonzero(row[first] < 0)[0]]}"
        )
    return row


def _short(names: Sequence[str]) -> str:
    return (", ".join(names[:8]) or "none") + (", ..." if len(names) > 8 else "")
