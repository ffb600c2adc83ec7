"""Predictions from a `.parquet`, read in batches of rows; needs pyarrow."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bvalign.predictions.readers.long_table import Chunk, ColumnNames, collect_rows, find_columns
from bvalign.predictions.readers.scores import Scores

ROWS_PER_BATCH = 16384
NUMBERS = ("int", "uint")
NUMBERS_OR_NAMES = (*NUMBERS, "string", "large_string", "dictionary")


def open_parquet(path: Path) -> Scores:
    """Opens the scores of a `.parquet` with the columns that `long_table` describes.

    Raises:
        ValueError: pyarrow or a column is missing, or the file is damaged.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ValueError(
            f"{path}: reading parquet needs pyarrow: pip install 'bvalign[parquet]'"
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            columns = find_columns(path, file.schema_arrow.names)
            types = {str(file.schema_arrow.field(name).type) for name in columns.scores}
            dtype_names = {"halffloat": "float16", "float": "float32", "double": "float64"}
            dtypes = tuple(dtype_names.get(name, name) for name in sorted(types))
            return collect_rows(path, columns, _chunks(path, file, columns), dtypes)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path}: not a complete .parquet ({error})") from error


def _chunks(path: Path, file: object, columns: ColumnNames) -> Iterator[Chunk]:
    """Yields the batches of a `pyarrow.parquet.ParquetFile`; a missing score becomes NaN."""
    wanted = [*columns.names, *columns.ids, *columns.scores]
    for batch in file.iter_batches(ROWS_PER_BATCH, columns=wanted):
        for name in (*columns.names, *columns.ids):
            column = batch.column(name)
            types = NUMBERS_OR_NAMES if name in columns.names else NUMBERS
            if column.null_count or not str(column.type).startswith(types):
                raise ValueError(
                    f"{path}: column '{name}' must be {' or '.join(types)} without empty cells, "
                    f"got {column.type} with {column.null_count} empty cells"
                )
        sample, *label = (batch.column(name).to_numpy() for name in columns.ids)
        scores = [batch.column(name).to_numpy(zero_copy_only=False) for name in columns.scores]
        values = np.stack(scores, axis=1).astype(np.float64)
        member, *cluster = (batch.column(name).to_pylist() for name in columns.names)
        yield Chunk(
            member, sample, label[0] if label else None, values, cluster[0] if cluster else None
        )
