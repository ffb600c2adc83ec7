"""Predictions from a `.pt` or `.pth`, as `torch.save` writes tensors, dicts and lists of them.

Nothing but tensors and plain containers is loaded: other Python objects can run code.
"""

import pickle
import warnings
from pathlib import Path

import torch

from bvalign.predictions.damage import damaged
from bvalign.predictions.readers.objects import scores_of_object
from bvalign.predictions.scores.names import Names
from bvalign.predictions.scores.scores import Scores


def open_torch(path: Path, names: Names) -> Scores:
    """Opens the scores of a file of `torch.save`, whose tensors stay mapped.

    Raises:
        ValueError: it holds other objects, no scores, or is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that are refused
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error):  # no pickle that torch has refused
            raise damaged(path, ".pt", error) from error
        raise ValueError(
            f"{path}: holds Python objects, which are not loaded as they can run code; save "
            "tensors alone: torch.save({'logits': ..., 'labels': ...}, path)"
        ) from error
    except Exception as error:  # of damaged bytes torch raises any
        raise damaged(path, ".pt", error) from error
    return scores_of_object(path, saved, names)


def _is_zip(path: Path) -> bool:
    """Tells the format that torch can map from the one of before version 1.6."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
