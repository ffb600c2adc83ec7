"""Groups of samples, such as hospitals or languages: chosen, checked and numbered, by column.

Groups are compared with one another; clusters (`clusters.py`) are samples that depend on each
other. A sample is in one group of each column.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int, Shaped
from torch import Tensor

from bvalign.plain_text import escaped
from bvalign.predictions.checks.sample_file import INDEX, read_csv, read_npy, rows_of
from bvalign.predictions.predictions import Groups, Predictions
from bvalign.predictions.scores.numbers import as_numbers

Columns = Mapping[str, Shaped[np.ndarray, "..."]]
"""Values of each column, one per sample once they are checked."""

COLUMN = "group"
"""Name of a column that has none of its own."""

LABEL_COLUMN = "class"
"""Name of the groups that the labels make."""

EMPTY = "(empty)"
"""Name of the group of samples whose cell is empty."""

MOST_NUMBERS, RANGES = 20, 5
"""Different numbers, not all whole, from which on they are cut into so many ranges of samples."""

MOST_GROUPS = 1000


def read_groups(
    path: Path, own: Columns, given: object, samples: Shaped[np.ndarray, " samples"]
) -> Columns:
    """Takes the groups of the predictions, and those given beside them.

    Args:
        path: of the predictions, named in messages.
        own: columns that the predictions contain, in the order of their rows.
        given: the path of a `.npy` or `.csv` as in `sample_file.py`; one column as an array, a
            tensor, a list or a Series; a dict or DataFrame of columns; or None. Columns are in the
            order of the rows, or have an `index` or `sample` beside them.
        samples: numbers or names of the samples, in the same order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is in both, or does not have every sample once.
    """
    where = Path(given) if isinstance(given, Path | str) else Path("groups")
    beside = _given(where, given, samples)
    both = own.keys() & beside.keys()
    if both:
        raise ValueError(
            f"{path} contains groups '{min(both)}', and {where} has a column of that name; "
            "rename one, or leave it out"
        )
    for file, columns in ((path, own), (where, beside)):
        for name, values in columns.items():
            _check_column(file, name, values, len(samples))
    return {**own, **beside}


def find_groups(
    path: Path, given: Columns, order: Int[np.ndarray, " samples"]
) -> tuple[dict[str, Groups], tuple[str, ...]]:
    """Numbers the groups of each column, with a note on them.

    Args:
        path: of the predictions, named in messages.
        given: the result of `read_groups`, without samples that were left out.
        order: rows of the predictions, sorted by index.

    Raises:
        ValueError: a column has more groups than can be compared.
    """
    if not given:
        return {}, ()
    groups, said = {}, []
    for column, values in given.items():
        found, how = _numbered(path, column, values[order])
        if len(found.names) < 2:
            said.append(f"{column} is {found.names[0]} for all, which leaves nothing to compare")
            continue
        groups[column] = found
        sizes = np.bincount(found.numbers)
        said.append(f"{len(sizes):,} {how} by {column} ({sizes.min():,} to {sizes.max():,} each)")
    return groups, (f"groups of the {len(order):,} samples: {'; '.join(said)}",)


def with_groups(predictions: Predictions, given: object) -> Predictions:
    """Adds groups to predictions without any, whose rows are sorted by index.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the groups are not what they must be.
    """
    path = Path("groups")
    columns = read_groups(path, {}, given, predictions.index)
    groups, notes = find_groups(path, columns, np.arange(predictions.num_samples))
    return replace(predictions, groups=groups, notes=(*predictions.notes, *notes))


def _given(where: Path, given: object, samples: Shaped[np.ndarray, " samples"]) -> Columns:
    """Columns of a file or an object, in the order of the samples."""
    if given is None:
        return {}
    if isinstance(given, Path | str):
        if where.suffix.lower() == ".npy":
            return {COLUMN: read_npy(where)}
        if where.suffix.lower() != ".csv" and where.exists():
            raise ValueError(f"{where}: groups must be a .npy or a .csv, got '{where.suffix}'")
        columns = read_csv(where, samples)
        return {name: np.array(list(cells))[at] for name, (cells, at) in columns.items()}
    names = list(getattr(given, "columns", given if isinstance(given, Mapping) else []))
    if not names:
        return {COLUMN: _array(given)}
    columns = {str(name): _array(given[name]) for name in names}
    keys = [name for name in columns if name in INDEX]
    if not keys:
        return columns
    found = columns.pop(keys[0])
    if found.dtype.kind not in "iu":
        found = found.astype(str)
    rows = rows_of(where, found, samples)
    return {name: values[rows] for name, values in columns.items()}


def _array(values: object) -> Shaped[np.ndarray, "..."]:
    """Numbers or names; missing cells of objects become empty names."""
    values = values.detach().cpu() if isinstance(values, Tensor) else values
    array = np.asarray(values)
    if array.dtype.kind != "O":
        return array
    missing = {"", "None", "nan", "NaN", "<NA>", "NaT"}
    return np.array(["" if str(value) in missing else str(value) for value in array.ravel()])


def _check_column(path: Path, name: str, values: np.ndarray, num_samples: int) -> None:
    if name == LABEL_COLUMN:
        raise ValueError(
            f"{path}: '{LABEL_COLUMN}' are the groups that the labels make; rename the column"
        )
    if values.dtype.kind not in "biufU" or values.shape != (num_samples,):
        raise ValueError(
            f"{path}: groups '{name}' must be {num_samples} numbers or names, one per sample, got "
            f"{values.dtype} {values.shape}"
        )


def _numbered(
    path: Path, column: str, values: Shaped[np.ndarray, " samples"]
) -> tuple[Groups, str]:
    """Gives the groups in the order of their numbers or names, and what they are called."""
    found, place = np.unique(values, return_inverse=True)
    empty = found == "" if found.dtype.kind == "U" else np.isnan(found.astype(float))
    names = [escaped(str(name)) for name in found.tolist()]
    numbers = as_numbers([name for name, none in zip(names, empty, strict=True) if not none])
    if numbers is not None and numbers.dtype.kind == "f" and len(numbers) > MOST_NUMBERS:
        value = np.full(len(found), np.nan)
        value[~empty] = numbers
        return _ranges(value[place]), f"ranges of about {100 // RANGES}% of the samples"
    if len(found) > MOST_GROUPS:
        raise ValueError(
            f"{path}: groups '{column}' has {len(found):,} different values for {len(values):,} "
            f"samples, more than {MOST_GROUPS:,} groups; join values, or leave the column out"
        )
    order = np.arange(len(found))
    if numbers is not None:
        order = np.concatenate([np.flatnonzero(~empty)[np.argsort(numbers)], order[empty]])
    rank = np.argsort(order)
    names = tuple(EMPTY if empty[at] else names[at] for at in order)
    return Groups(names, rank[place].astype(np.int64)), "groups"


def _ranges(values: Float64[np.ndarray, " samples"]) -> Groups:
    """Ranges of numbers with about equally many samples, empty cells last."""
    empty = np.isnan(values)
    edges = np.quantile(values[~empty], np.arange(1, RANGES) / RANGES)
    _, place = np.unique(np.searchsorted(edges, values[~empty], side="left"), return_inverse=True)
    numbers = np.full(len(values), place.max() + 1)
    numbers[~empty] = place
    parts = [values[numbers == number] for number in range(place.max() + 1)]
    names = [f"{part.min():.4g} to {part.max():.4g}" for part in parts]
    return Groups((*names, EMPTY) if empty.any() else tuple(names), numbers.astype(np.int64))
