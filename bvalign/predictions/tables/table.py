"""Scores from tables of any kind, whose rows come in batches and in any order.

Scores are appended to an anonymous file in TMPDIR (8 bytes each) and mapped there; of every other
column that is used 8 bytes per row are held in memory, and each name or text once.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from bvalign.predictions.damage import check_inflation
from bvalign.predictions.scores.arrays import number_votes
from bvalign.predictions.scores.held import held
from bvalign.predictions.scores.mapped import MappedArray, Rows, Scratch, write_scratch
from bvalign.predictions.scores.names import Names, shorten
from bvalign.predictions.scores.scores import Scores
from bvalign.predictions.tables.layout import Layout, find_layout, is_list
from bvalign.predictions.tables.rows import (
    RowValues,
    filled_labels,
    find_rows,
    floats,
    numbered,
    refuse_empty_clusters,
    same_in_all,
)

DTYPES = {"halffloat": "float16", "float": "float32"}


class Table(NamedTuple):
    """Columns by name, and their rows.

    Attributes:
        path: named in messages.
        types: of all columns; of a text file as far as its beginning tells.
        batches: the rows, a few thousand at a time, with the columns of a layout.
    """

    path: Path
    types: Mapping[str, pa.DataType]
    batches: Callable[[Layout], Iterator[pa.RecordBatch]]


def scores_of_table(table: Table, names: Names) -> Scores:
    """Collects the rows of a table and finds the row of every member and sample.

    Raises:
        ValueError: columns are missing, members have different samples, a row is repeated, or rows
            of one sample have different clusters or groups.
    """
    layout = find_layout(table.path, table.types, names)
    columns = {name: RowValues(table.path, name) for name in layout.values}
    scores, num_rows, num_bytes = _ScoreRows(table.path, layout), 0, 0
    for batch in filter(len, table.batches(layout)):
        num_bytes += batch.nbytes
        check_inflation(table.path, num_bytes)
        for name, column in columns.items():
            column.add(batch.column(name))
        if layout.key != "votes":
            scores.add(batch)
        num_rows += batch.num_rows
    if not num_rows:
        raise ValueError(f"{table.path}: has no rows; is the file complete?")
    optional = {layout.label, layout.cluster, *layout.groups, layout.text}
    values = {
        name: column.result(may_be_empty=name in optional, as_names=name in layout.groups)
        for name, column in columns.items()
    }
    return _assemble(table, layout, values, scores, num_rows)


def _assemble(
    table: Table,
    layout: Layout,
    values: Mapping[str, Shaped[np.ndarray, " rows"]],
    scores: "_ScoreRows",
    num_rows: int,
) -> Scores:
    """Orders the collected columns by member and sample."""
    path = table.path
    members, index, row = _find_members(path, layout, values, num_rows)
    named = index.dtype.kind == "U"
    notes, labels = list(layout.notes), None
    if layout.label:
        labels, filled = filled_labels(values[layout.label][row])
        labels = labels if layout.member else labels[0]
        if filled:
            notes.append(f"label: {filled} empty cells take the label of their sample's other rows")
    shown = {"texts": values[layout.text][row[0]]} if layout.text else {}
    if layout.classes:
        shown["class_names"] = np.array(layout.classes)
    if layout.key == "votes":
        votes, class_names = number_votes(path, _votes(layout, values, row), labels)
        shown |= {} if class_names is None else {"class_names": class_names}
        take, shape, dtypes = partial(held(votes).take, axis=1), votes.shape, {str(votes.dtype)}
        num_options = None
    else:
        take, num_classes, num_options = scores.reader(row)
        shape = (*row.shape, num_classes)
        dtypes = {DTYPES.get(str(table.types[name]), "float64") for name in layout.scores}
    return Scores(
        path=path,
        key=layout.key,
        shape=shape,
        dtypes=tuple(sorted(dtypes)),
        take=take,
        labels=labels,
        index=None if named else index,
        members=members,
        **_beside(path, layout, index, values, row),
        sample_names=index if named else None,
        num_options=num_options,
        notes=tuple(notes),
        shown=shown,
    )


def _beside(
    path: Path,
    layout: Layout,
    index: Shaped[np.ndarray, " samples"],
    values: Mapping[str, Shaped[np.ndarray, " rows"]],
    row: Int[np.ndarray, "named samples"],
) -> dict[str, object]:
    """Gives clusters and groups of the samples."""
    groups = {
        column: same_in_all(path, name, index, values[name][row])
        for name, column in layout.groups.items()
    }
    if layout.cluster is None:
        return {"groups": groups}
    clusters = same_in_all(path, layout.cluster, index, values[layout.cluster][row])
    refuse_empty_clusters(path, layout.cluster, index, clusters)
    return {"clusters": clusters, "groups": groups}


def _find_members(
    path: Path, layout: Layout, values: Mapping[str, Shaped[np.ndarray, " rows"]], num_rows: int
) -> tuple[np.ndarray | None, Shaped[np.ndarray, " samples"], Int[np.ndarray, "members samples"]]:
    """Gives the members, numbers or names of the samples, and the row of each of both."""
    members, member = np.array([0]), np.zeros(num_rows, dtype=np.int64)
    index = sample = np.arange(num_rows)
    if layout.member:
        ids = values[layout.member]
        members, member = numbered(ids.astype(str) if ids.dtype.kind == "f" else ids)
    if layout.sample:
        if values[layout.sample].dtype.kind == "f":
            raise ValueError(
                f"{path}: column '{layout.sample}' must hold names or whole numbers below 2**63"
            )
        index, sample = numbered(values[layout.sample])
    row = find_rows(path, members, index, member, sample)
    if layout.member is None:
        several = layout.key == "votes" and len(layout.scores) > 1
        members = np.array(layout.scores) if several else None
    return members, index, row


def _votes(
    layout: Layout,
    values: Mapping[str, Shaped[np.ndarray, " rows"]],
    row: Int[np.ndarray, "named samples"],
) -> Shaped[np.ndarray, "members samples"]:
    """Gives class ids, or names if any are; without a column of members, a column is one."""
    columns = [values[name][row] for name in layout.scores]
    named = any(column.dtype.kind == "U" for column in columns)
    return np.concatenate([column.astype(str) if named else column for column in columns])


class _ScoreRows:
    """Scores of all rows in a scratch file, one row after another."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self.layout = path, layout
        self.file = Scratch()
        self.lengths: list[Int[np.ndarray, " rows"]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Appends the scores of a batch; an empty cell becomes NaN."""
        first = batch.column(self.layout.scores[0])
        if is_list(first.type):
            if first.null_count:
                raise ValueError(
                    f"{self.path}: column '{self.layout.scores[0]}' has {first.null_count} empty "
                    "cells; leave their rows out"
                )
            values = floats(self.path, self.layout.scores[0], first.flatten())
            self.lengths.append(pc.list_value_length(first).to_numpy(zero_copy_only=False))
        else:
            columns = [floats(self.path, n, batch.column(n)) for n in self.layout.scores]
            values = np.stack(columns, axis=1)
            self.lengths.append(np.full(len(values), len(columns)))
        write_scratch(self.file, np.ascontiguousarray(values).data, self.path)

    def reader(
        self, row: Int[np.ndarray, "members samples"]
    ) -> tuple[Callable[[Rows], Float[Tensor, "members rows classes"]], int, np.ndarray | None]:
        """Gives a function that reads samples, the number of classes, and that of each sample.

        Raises:
            ValueError: members have different numbers of options.
        """
        lengths = np.concatenate(self.lengths)
        most = int(lengths.max())
        scores = MappedArray(self.path, self.file, 0, np.dtype(np.float64), (int(lengths.sum()),))
        if (lengths == most).all():
            rows_of = scores._replace(shape=(len(lengths), most))
            return lambda rows: _shaped(rows_of, row[:, rows], most), most, None
        options = lengths[row]
        wrong = np.flatnonzero((options != options[0]).any(axis=0))
        if len(wrong):
            raise ValueError(
                f"{self.path}: all members must have the same options of a sample, but "
                f"{len(wrong)} samples have other numbers of '{self.layout.scores[0]}'; the first "
                f"is the {wrong[0]}th with {shorten(sorted({*options[:, wrong[0]].tolist()}))}"
            )
        if self.layout.key == "scores":
            raise ValueError(
                f"{self.path}: samples have different numbers of options; call their scores logits "
                "or probs"
            )
        start = np.cumsum(lengths) - lengths
        padding = 0.0 if self.layout.key == "probs" else -torch.inf

        def take(rows: Rows) -> Float[Tensor, "members rows classes"]:
            wanted = row[:, rows]
            exists = np.arange(most) < lengths[wanted][..., None]
            places = np.where(exists, start[wanted][..., None] + np.arange(most), 0)
            values = scores.take(places.ravel(), axis=0).view(*places.shape)
            return values.masked_fill(~torch.from_numpy(exists), padding)

        return take, most, options[0]


def _shaped(
    scores: MappedArray, wanted: Int[np.ndarray, "members rows"], num_classes: int
) -> Float[Tensor, "members rows classes"]:
    return scores.take(wanted.ravel(), axis=0).view(*wanted.shape, num_classes)
