"""Anybody's predictions: reads a file, a folder of members, or arrays, into `Predictions`."""

from bvalign.predictions.readers.checks import to_predictions
from bvalign.predictions.readers.clusters import with_clusters
from bvalign.predictions.readers.memory import open_memory
from bvalign.predictions.readers.names import Names
from bvalign.predictions.readers.source import open_scores
from bvalign.predictions.readers.strings import file_name

__all__ = ["Names", "file_name", "open_memory", "open_scores", "to_predictions", "with_clusters"]
