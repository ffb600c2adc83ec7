"""Tables that pyarrow holds: .parquet, one file or a partitioned folder, and DataFrames."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import dataset

from bvalign.predictions.damage import damaged
from bvalign.predictions.scores.names import Names
from bvalign.predictions.scores.scores import Scores
from bvalign.predictions.tables.layout import Layout
from bvalign.predictions.tables.table import Table, scores_of_table

ROWS_PER_BATCH = 16384


def open_parquet(path: Path, names: Names) -> Scores:
    """Opens the scores of a `.parquet`.

    Raises:
        ValueError: a column is missing, or the file is damaged.
    """
    try:
        parts = dataset.dataset(path, format="parquet", partitioning="hive")
        types = {field.name: field.type for field in parts.schema}

        def batches(layout: Layout) -> Iterator[pa.RecordBatch]:
            wanted = [*layout.ids, *layout.scores]
            return parts.to_batches(columns=wanted, batch_size=ROWS_PER_BATCH)

        return scores_of_table(Table(path, types, batches), names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise damaged(path, ".parquet", error) from error


def open_table(path: Path, frame: object, names: Names) -> Scores:
    """Opens the scores of a DataFrame, of pandas, polars or whatever gives Arrow its columns.

    Args:
        path: named in messages.
        frame: as `pyarrow.table` takes it.
        names: given by the user.

    Raises:
        ValueError: a column is missing, or rows do not fit together.
    """
    table = pa.table(frame)
    types = {field.name: field.type for field in table.schema}
    return scores_of_table(
        Table(path, types, lambda layout: table.to_batches(ROWS_PER_BATCH)), names
    )
