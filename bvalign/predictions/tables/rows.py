"""The rows of a table that belong to each member and sample."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int, Shaped

from bvalign.predictions.scores.names import shorten
from bvalign.predictions.scores.numbers import as_numbers


class RowValues:
    """Numbers or names in one column, collected batch by batch; each name is kept once."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.parts: list[tuple[bool, np.ndarray]] = []  # whether they are places in `places`
        self.places: dict[object, int] = {}

    def add(self, column: pa.Array) -> None:
        """Adds the cells of a batch.

        Raises:
            ValueError: they are lists or the like, or numbers above 2**63 - 1.
        """
        if pa.types.is_integer(column.type) and not column.null_count:
            try:
                self.parts.append((False, column.cast(pa.int64()).to_numpy()))
            except pa.ArrowInvalid as error:
                raise ValueError(f"{self.path}: column '{self.name}': {error}") from error
            return
        if pa.types.is_nested(column.type):
            raise ValueError(
                f"{self.path}: column '{self.name}' must hold numbers or names, got {column.type}"
            )
        if pa.types.is_null(column.type):
            column = column.cast(pa.string())
        coded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
        values = (v.strip() if isinstance(v, str) else v for v in coded.dictionary.to_pylist())
        place = [
            -1 if _is_empty(value) else self.places.setdefault(value, len(self.places))
            for value in values
        ]
        indices = pc.fill_null(coded.indices, len(place)).to_numpy(zero_copy_only=False)
        self.parts.append((True, np.array([*place, -1], dtype=np.int64)[indices]))

    def result(
        self, *, may_be_empty: bool = False, as_names: bool = False
    ) -> Shaped[np.ndarray, " rows"]:
        """Gives whole numbers (int64) if all values are such, floats, or names.

        An empty cell is -1 among numbers and "" among names.

        Args:
            may_be_empty: whether cells may be.
            as_names: numbers, too.

        Raises:
            ValueError: a cell is empty that may not be.
        """
        empty = sum(int((part < 0).sum()) for is_place, part in self.parts if is_place)
        if empty and not may_be_empty:
            raise ValueError(
                f"{self.path}: column '{self.name}' has {empty} empty cells; fill them, or "
                "leave their rows out"
            )
        numbers = None if as_names else as_numbers(list(self.places))
        if numbers is None:
            names = np.array([*map(str, self.places), ""])
            parts = (names[part] if is_place else part.astype(str) for is_place, part in self.parts)
        else:
            numbers = np.append(numbers, -1)
            parts = (numbers[part] if is_place else part for is_place, part in self.parts)
        return np.concatenate(list(parts))


def _is_empty(value: object) -> bool:
    """Tells an empty cell of a csv, and NaN, from a value."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def numbered(
    values: Shaped[np.ndarray, " rows"],
) -> tuple[Shaped[np.ndarray, " different"], Int[np.ndarray, " rows"]]:
    """Gives the different values in order, and the place of each row's among them."""
    if values.dtype.kind == "i" and int(values.max()) - int(values.min()) < 4 * len(values):
        lowest = values.min()
        occurs = np.zeros(values.max() - lowest + 1, dtype=bool)
        occurs[values - lowest] = True
        place = np.cumsum(occurs) - 1
        return np.flatnonzero(occurs) + lowest, place[values - lowest]  # without sorting
    return np.unique(values, return_inverse=True)


def find_rows(
    path: Path,
    members: Shaped[np.ndarray, " members"],
    index: Shaped[np.ndarray, " samples"],
    member: Int[np.ndarray, " rows"],
    sample: Int[np.ndarray, " rows"],
) -> Int[np.ndarray, "members samples"]:
    """Finds the row of each member and sample.

    Args:
        path: named in messages.
        members: names or numbers of the members.
        index: numbers or names of the samples.
        member: the place in `members` of each row.
        sample: the place in `index` of each row.

    Raises:
        ValueError: a row is repeated, or a member lacks samples.
    """
    row = np.full((len(members), len(index)), -1)
    row[member, sample] = np.arange(len(member))
    absent = (row < 0).sum(axis=1)
    if len(member) > row.size - absent.sum():
        repeated = np.flatnonzero(row[member, sample] != np.arange(len(member)))
        first = repeated[0]
        raise ValueError(
            f"{path}: every member must have each sample once, but {len(repeated)} rows are "
            f"repeated; the first is member {members[member[first]]}, sample {index[sample[first]]}"
            + ("; is there a column of members? Choose it with --member" * (len(members) == 1))
        )
    if absent.any():
        first = int(np.flatnonzero(absent)[0])
        lacking = ", ".join(
            f"member {name} lacks {count} of {len(index)}"
            for name, count in zip(members, absent.tolist(), strict=True)
            if count
        )
        raise ValueError(
            f"{path}: all members must have the same samples, but {lacking}; the first that "
            f"member {members[first]} lacks is sample {index[np.flatnonzero(row[first] < 0)[0]]}"
        )
    return row


def filled_labels(
    labels: Shaped[np.ndarray, "members samples"],
) -> tuple[Shaped[np.ndarray, "members samples"], int]:
    """Gives rows without a label that of their sample's other rows, where those agree; counts."""
    empty = labels == ("" if labels.dtype.kind == "U" else -1)
    some = np.flatnonzero(empty.any(axis=0) & ~empty.all(axis=0))
    filled = labels.copy()
    for sample in some:
        known = np.unique(labels[~empty[:, sample], sample])
        if len(known) == 1:
            filled[:, sample] = known[0]
    return filled, int((filled != labels).sum())


def same_in_all(
    path: Path,
    name: str,
    index: Shaped[np.ndarray, " samples"],
    values: Shaped[np.ndarray, "members samples"],
) -> Shaped[np.ndarray, " samples"]:
    """Gives what all rows of a sample have in a column.

    Raises:
        ValueError: rows of one sample differ.
    """
    several = np.flatnonzero((values != values[0]).any(axis=0))
    if len(several):
        first = sorted({str(value) for value in values[:, several[0]]})
        raise ValueError(
            f"{path}: all rows of a sample must have the same '{name}', but {len(several)} of "
            f"{len(index)} samples have several; the first is sample {index[several[0]]} with "
            f"{shorten(first)}"
        )
    return values[0]


def refuse_empty_clusters(
    path: Path,
    name: str,
    index: Shaped[np.ndarray, " samples"],
    values: Shaped[np.ndarray, " samples"],
) -> None:
    """Raises if samples have no cluster.

    Raises:
        ValueError: cells are empty.
    """
    empty = np.flatnonzero(values == ("" if values.dtype.kind == "U" else -1))
    if len(empty):
        raise ValueError(
            f"{path}: column '{name}' is empty for {len(empty)} of {len(index)} samples, the "
            f"first is {index[empty[0]]}; give a sample that stands alone a cluster of its own"
        )


def floats(path: Path, name: str, column: pa.Array) -> Float[np.ndarray, " rows"]:
    """The numbers of a column.

    Raises:
        ValueError: they are none.
    """
    try:
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException as error:
        raise ValueError(f"{path}: column '{name}' must hold numbers ({error})") from error
