"""Training curves of members, read from a run directory."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Curves(NamedTuple):
    """Training curves of several members, NaN where nothing was measured."""

    epoch: Int[np.ndarray, " epochs"]  # from 1
    values: dict[str, Float[np.ndarray, "members epochs"]]  # by name of the column


def training_curves(folders: Iterable[Path]) -> Curves:
    """Reads the `history.csv` of members.

    Args:
        folders: of finished members; those with an empty history are left out.

    Returns:
        Every column of the files, for all epochs that any member has.

    Raises:
        ValueError: a file is missing or damaged.
    """
    members = [rows for folder in folders if (rows := _read(folder / "history.csv"))]
    epochs = sorted({epoch for rows in members for epoch in rows})
    names = dict.fromkeys(name for rows in members for row in rows.values() for name in row)
    values = {
        name: np.array([[rows.get(e, {}).get(name, math.nan) for e in epochs] for rows in members])
        for name in names
    }
    return Curves(np.array(epochs), values)


def _read(path: Path) -> dict[int, dict[str, float]]:
    """Reads the numbers of each row, by epoch."""
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
