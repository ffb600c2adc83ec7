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
    """
    found = []
    for folder in folders:
        with (folder / "history.csv").open(newline="") as file:
            rows = {int(row.pop("epoch")): row for row in csv.DictReader(file)}
        if rows:
            found.append(rows)
    epochs = sorted({epoch for rows in found for epoch in rows})
    names = dict.fromkeys(name for rows in found for row in rows.values() for name in row)
    values = {
        name: np.array([[_number(rows.get(e, {}).get(name)) for e in epochs] for rows in found])
        for name in names
    }
    return Curves(np.array(epochs), values)


def _number(text: str | None) -> float:
    return float(text) if text else math.nan
