"""What two versions of bvalign wrote about the same predictions, compared number by number."""

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

Value = str | float | bool | None
NAMES = ("name", "run", "estimator", "number", "members")
"""Keys that name a row of a list, so that a row is compared with itself wherever it stands."""


class Difference(NamedTuple):
    """One value that is not what it was."""

    key: str
    old: Value  # ABSENT where the other side alone has the key
    new: Value


ABSENT = "(absent)"


def read_json(path: Path, ignored: Sequence[str] = ()) -> dict[str, Value]:
    """The values of a JSON file by dotted key, without those whose key begins with an ignored one.

    An empty object or list is a value too.
    """
    values = _flat(json.loads(path.read_text()), "")
    return {key: v for key, v in values.items() if not f"{key}.".startswith(tuple(ignored))}


def read_csv(path: Path) -> dict[str, Value]:
    """The cells of a table by column and row, numbers as floats; its names under `columns`."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        rows, names = list(reader), reader.fieldnames
    return {"columns": ",".join(names)} | {
        f"{column}.{row}": _cell(text)
        for row, cells in enumerate(rows)
        for column, text in cells.items()
    }


def differences(
    old: Mapping[str, Value],
    new: Mapping[str, Value],
    same: Callable[[str, Value, Value], bool] = lambda key, old, new: identical(old, new),
) -> list[Difference]:
    """The values that differ, in the order of `old`, then those that only `new` has.

    Args:
        old: values by key.
        new: values by key.
        same: whether two values of a key are taken for the same.
    """
    found = []
    for key in {**old, **new}:
        values = old.get(key, ABSENT), new.get(key, ABSENT)
        if ABSENT in values or not same(key, *values):
            found.append(Difference(key, *values))
    return found


def identical(old: Value, new: Value) -> bool:
    """Whether two values are of one type and equal to the last bit; NaN is like NaN.

    >>> identical(math.nan, math.nan), identical(0.0, -0.0), identical(1, 1.0)
    (True, False, False)
    """
    return type(old) is type(new) and repr(old) == repr(new)


def close(old: Value, new: Value, *, relative: float, floor: float = 0.0) -> bool:
    """Whether two numbers agree; what is not a number must be equal, and keep its type.

    >>> close(1.0, 1.0 + 1e-12, relative=1e-10), close(1.0, 1, relative=1e-10)
    (True, False)
    """
    if type(old) is not type(new) or not isinstance(old, float) or not math.isfinite(old):
        return identical(old, new)
    return abs(old - new) <= max(relative * max(abs(old), abs(new)), floor)


def listing(found: Sequence[Difference], most: int = 200) -> str:
    """One line per difference: key, old value, new value, relative difference.

    Args:
        found: the differences.
        most: how many are listed; the rest are counted, and the largest of all is named.
    """
    lines = [_line(difference) for difference in found[:most]]
    if len(found) > most:
        largest = max(found, key=lambda d: _relative(d) or 0.0)
        lines.append(f"... and {len(found) - most} more; the largest: {_line(largest)}")
    return "\n".join(lines)


def _flat(value: object, key: str) -> dict[str, Value]:
    if isinstance(value, dict) and value:
        parts = [(str(name), part) for name, part in value.items()]
    elif isinstance(value, list) and value:
        parts = list(zip(_names(value), value, strict=True))
    else:
        return {key: str(value) if isinstance(value, dict | list) else value}
    found: dict[str, Value] = {}
    for name, part in parts:
        found |= _flat(part, f"{key}.{name}" if key else name)
    return found


def _names(rows: Sequence[object]) -> list[str]:
    """Names of rows that have them, all different; else their positions."""
    named = [
        ".".join(str(row[name]) for name in NAMES if name in row) if isinstance(row, dict) else ""
        for row in rows
    ]
    unique = all(named) and len(set(named)) == len(named)
    return named if unique else [str(place) for place in range(len(rows))]


def _cell(text: str) -> Value:
    try:
        return float(text)
    except ValueError:
        return text


def _line(difference: Difference) -> str:
    relative = _relative(difference)
    by = "" if relative is None else f"  (relative {relative:.2g})"
    return f"{difference.key}: {difference.old!r} -> {difference.new!r}{by}"


def _relative(difference: Difference) -> float | None:
    """The relative difference of two numbers; None where one of the values is none."""
    old, new = difference.old, difference.new
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (old, new))
    if not numbers or not math.isfinite(old) or not math.isfinite(new):
        return None
    return abs(old - new) / (max(abs(old), abs(new)) or 1.0)
