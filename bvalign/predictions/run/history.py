"""The curves of members' training, as a run directory keeps them."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Curves(NamedTuple):
    """Training of several members, NaN where nothing was measured."""

    epoch: np.ndarray  # (epochs), from 1
    values: dict[str, np.ndarray]  # name -> (members, epochs)


def training_curves(folders: Iterable[Path]) -> Curves:
    """Reads `history.csv` of members.

    Args:
        folders: of finished members; one with an empty history is left out.

    Returns:
        Every column of the files, by name, for all epochs that any member has.

    Raises:
        ValueError: a file is missing or damaged.
    """
    found = [rows for folder in folders if (rows := _read(folder / "history.csv"))]
    epochs = sorted({epoch for rows in found for epoch in rows})
    names = dict.fromkeys(name for rows in found for row in rows.values() for name in row)
    values = {
        name: np.array([[rows.get(e, {}).get(name, math.nan) for e in epochs] for rows in found])
        for name in names
    }
    return Curves(np.array(epochs), values)


def _read(path: Path) -> dict[int, dict[str, float]]:
    """Epoch -> the numbers of a row."""
    try:
        with path.open(newline="") as file:
            rows = {int(row.pop("epoch")): row for row in csv.DictReader(file)}
        return {
            epoch: {k: math.nan if v == "" else float(v) for k, v in row.items()}
            for epoch, row in rows.items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: damaged ({error}); remove logits.safetensors beside it to train the member "
            "again"
        ) from error
