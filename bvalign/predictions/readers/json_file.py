"""Predictions from a `.json`: named arrays as nested lists, or a list of rows."""

import json
from pathlib import Path

from bvalign.predictions.damage import damaged
from bvalign.predictions.readers.objects import scores_of_object
from bvalign.predictions.scores.names import Names
from bvalign.predictions.scores.scores import Scores


def open_json(path: Path, names: Names) -> Scores:
    """Opens the scores of a `.json`.

    Raises:
        ValueError: it is damaged, or holds no scores.
    """
    try:
        source = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError) as error:
        raise damaged(path, ".json in UTF-8", error) from error
    return scores_of_object(path, source, names)
