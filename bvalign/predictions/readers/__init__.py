"""Anybody's predictions: a file, a folder of members, or what Python holds, into `Scores`."""

from bvalign.predictions.readers.memory import open_memory
from bvalign.predictions.readers.source import open_scores, open_url

__all__ = ["open_memory", "open_scores", "open_url"]
