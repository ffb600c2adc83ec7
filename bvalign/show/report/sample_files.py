"""The files with the per-sample statistics of a report, samples.csv and samples.parquet."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bvalign.analysis.decompositions import Column
from bvalign.show.report.samples_csv import write_csv

CSV, PARQUET = "samples.csv", "samples.parquet"
KINDS = {"both": (CSV, PARQUET), "csv": (CSV,), "parquet": (PARQUET,), "none": ()}
"""What `--samples` takes, and the files that it stands for."""

MOST_ROWS_OF_CSV = 1_000_000
"""A larger CSV is written on request alone: half a kilobyte and 15 microseconds a row."""


def sample_files(kind: str | None, num_samples: int) -> tuple[str, ...]:
    """Names the files that a report has.

    Args:
        kind: a key of `KINDS`; by default both up to MOST_ROWS_OF_CSV samples, then the parquet.
        num_samples: N.

    Raises:
        ValueError: there is no such kind.
    """
    if kind is None:
        kind = "both" if num_samples <= MOST_ROWS_OF_CSV else "parquet"
    if kind not in KINDS:
        raise ValueError(f"samples must be one of {', '.join(KINDS)}, got {kind!r}")
    return KINDS[kind]


def write_samples(
    path: Path, columns: Mapping[str, Column], names: Sequence[str] | None = None
) -> None:
    """Writes a row per test sample, in the order of the columns.

    Args:
        path: of the file, which is complete or absent; Parquet if it ends in `.parquet`, else CSV.
        columns: by name, as in `Analysis.columns`; the first is the index.
        names: of the samples, which follow the index as a column `sample`; None where they have
            none.
    """
    if path.suffix.lower() == ".parquet":
        from bvalign.show.report.samples_parquet import write_parquet  # pyarrow, where needed

        write_parquet(path, columns, names)
    else:
        write_csv(path, columns, names)
