"""Tables with a JSON object per line, the plain form for evaluations of language models.

    {"member": "seed0", "sample": 17, "label": 2, "logits": [-1.5, 0.25, 3.0]}

The keys are columns as in any table. Samples may have different numbers of options.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import pyarrow as pa

from bvalign.plain_text import escaped
from bvalign.predictions.damage import damaged, lines_of
from bvalign.predictions.scores.names import Names
from bvalign.predictions.scores.scores import Scores
from bvalign.predictions.tables.layout import Layout
from bvalign.predictions.tables.parquet import open_table
from bvalign.predictions.tables.table import Table, scores_of_table

LINES_PER_BATCH = 256
FEW_LINES = 64
"""Lines that are held where each has its prompts."""


def open_jsonl(path: Path, names: Names) -> Scores:
    """Opens the scores of lines of JSON.

    Raises:
        ValueError: a line is damaged, or a key is missing; the message names the line.
    """
    try:
        first = next(iter(_lines(path, LINES_PER_BATCH)), [])
        keys = list(dict.fromkeys(key for row in first for key in row))
        types = {key: _column(first, key).type for key in keys}

        def batches(layout: Layout) -> Iterator[pa.RecordBatch]:
            wanted = [*layout.ids, *layout.scores]
            for rows in _lines(path, LINES_PER_BATCH):
                columns = [_column(rows, name) for name in wanted]
                yield pa.RecordBatch.from_arrays(columns, wanted)

        return _with_letters(scores_of_table(Table(path, types, batches), names))
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise damaged(path, ".jsonl in UTF-8", error) from error


def open_records(path: Path, rows: Sequence[Mapping[str, object]], names: Names) -> Scores:
    """Opens the scores of dicts with the same keys, as `open_jsonl` those of lines."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return open_table(path, {key: _column(rows, key) for key in keys}, names)


def _lines(path: Path, number: int) -> Iterator[list[dict[str, object]]]:
    """Yields the objects of some lines at a time."""
    before = 0
    with _open_text(path) as file:
        reading = lines_of(path, file)
        while lines := list(islice(reading, number)):
            lines[0] = lines[0] if before else lines[0].lstrip("\ufeff")
            try:
                rows = json.loads(f"[{','.join(lines)}]")  # at once: faster
            except (ValueError, RecursionError):
                rows = []
            if len(rows) != len(lines) or not all(isinstance(row, dict) for row in rows):
                rows = _one_by_one(path, lines, before)
            before += len(lines)
            yield rows


def _open_text(path: Path) -> io.TextIOWrapper:
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return path.open(encoding="utf-8")
    return io.TextIOWrapper(pa.input_stream(path, compression="detect"), "utf-8")


def _one_by_one(path: Path, lines: list[str], before: int) -> list[dict[str, object]]:
    """Reads lines of which some are blank or damaged."""
    rows = []
    for line, text in enumerate(lines, before + 1):
        if text.isspace():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path}: line {line} is no JSON ({error}); is the file complete?"
            ) from error
        if not isinstance(row, dict):
            raise ValueError(f"{path}: line {line} must be a JSON object, as in {{...}}")
        rows.append(row)
    return rows


def _column(rows: Sequence[Mapping[str, object]], key: str) -> pa.Array:
    """Makes a column of the values under a key, as text where their types differ."""
    values = [row.get(key) for row in rows]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        return pa.array([None if value is None else escaped(str(value)) for value in values])


def read_rows(path: Path) -> Iterator[dict[str, object]]:
    """Yields the objects of lines one by one, few of which are held.

    Raises:
        ValueError: a line is no object.
    """
    for rows in _lines(path, FEW_LINES):
        yield from rows


def _with_letters(scores: Scores) -> Scores:
    """Names the options of a sample A, B, ... if labels do."""
    labels, named = scores.labels, "class_names" in scores.shown
    if scores.key == "votes" or labels is None or labels.dtype.kind != "U" or named:
        return scores
    letters = list(ascii_uppercase[: scores.shape[2]])
    if not {*labels.ravel().tolist()} <= {*letters, ""}:
        return scores
    return replace(scores, shown={**scores.shown, "class_names": np.array(letters)})
