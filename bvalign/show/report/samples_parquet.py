"""The per-sample statistics of an analysis as samples.parquet, however many samples there are.

zstd of level 1, float64 split into its bytes and no dictionaries: 167 bytes a row of 35 columns and
0.7 s a million rows, where snappy takes 187 and 0.5 s, pyarrow's own settings 230 and 1.4 s.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Shaped
from pyarrow import parquet

from bvalign.analysis.decompositions import Column
from bvalign.atomic import atomic_path
from bvalign.show.quantities import QUANTITIES

ROWS_PER_GROUP = 2**17
"""Rows that are encoded at a time, 64 MiB of 64 columns; each group has its statistics."""


def write_parquet(
    path: Path, columns: Mapping[str, Column], names: Sequence[str] | None = None
) -> None:
    """Writes a row per test sample; each field says its unit, what it is called and what it means.

    Args:
        path: of the file, which is complete or absent.
        columns: by name, as in `Analysis.columns`; the first is the index.
        names: of the samples, which follow the index as a column `sample`; None where they have
            none.
    """
    values = [column.values.numpy() for column in columns.values()]
    fields = [_field(name, column) for name, column in columns.items()]
    if names is not None:
        said = {"description": "Its name in the predictions."}
        fields.insert(1, pa.field("sample", pa.string(), metadata=said))
    schema = pa.schema(fields)
    options = {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": False,
        "use_byte_stream_split": [f.name for f in fields if pa.types.is_floating(f.type)],
    }
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as file,
        parquet.ParquetWriter(file, schema, **options) as writer,
    ):
        for start in range(0, len(values[0]), ROWS_PER_GROUP):
            rows = slice(start, start + ROWS_PER_GROUP)
            parts = [_array(column[rows]) for column in values]
            if names is not None:
                parts.insert(1, _texts(names[rows]))
            writer.write_batch(pa.RecordBatch.from_arrays(parts, schema=schema))


def read_parquet(path: Path, wanted: Sequence[str]) -> dict[str, Float[np.ndarray, " samples"]]:
    """Reads those of the wanted columns that there are, as float64; the others are not touched.

    Raises:
        ValueError: the file is damaged, or a value is missing.
    """
    try:
        # opened here: pyarrow takes no path that is not UTF-8
        with path.open("rb") as content, parquet.ParquetFile(content) as file:
            table = file.read(columns=[name for name in wanted if name in file.schema_arrow.names])
        return {name: _as_float64(table[name]) for name in table.column_names}
    except (pa.ArrowException, OSError, TypeError) as error:
        raise ValueError(str(error)) from error


def _field(name: str, column: Column) -> pa.Field:
    said = {"unit": column.unit.name}
    if name in QUANTITIES:
        found = QUANTITIES[name]
        said |= {"title": found.title, "description": found.meaning}
    return pa.field(name, pa.from_numpy_dtype(column.values.numpy().dtype), metadata=said)


def _array(values: Shaped[np.ndarray, " rows"]) -> pa.Array:
    """Wraps values without a copy; unlike `pyarrow.array`, it does not import pandas."""
    kind, length = pa.from_numpy_dtype(values.dtype), len(values)
    if values.dtype == bool:
        values = np.packbits(values, bitorder="little")
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, length, [None, buffer])


def _texts(texts: Sequence[str]) -> pa.Array:
    builder = pa.lib.StringBuilder()
    builder.append_values(list(texts))
    return builder.finish()


def _as_float64(column: pa.ChunkedArray) -> Float[np.ndarray, " samples"]:
    """Converts a column, likewise without pandas; TypeError if it is not all numbers."""
    return np.from_dlpack(column.cast(pa.float64()).combine_chunks())
