"""Anybody's predictions: reads a file, or a folder of members, into `Predictions`."""

from bvalign.predictions.readers.checks import to_predictions
from bvalign.predictions.readers.clusters import with_clusters
from bvalign.predictions.readers.csv import open_csv
from bvalign.predictions.readers.folder import member_files, open_folder
from bvalign.predictions.readers.npz import open_npz
from bvalign.predictions.readers.parquet import open_parquet
from bvalign.predictions.readers.strings import file_name

__all__ = [
    "file_name",
    "member_files",
    "open_csv",
    "open_folder",
    "open_npz",
    "open_parquet",
    "to_predictions",
    "with_clusters",
]
