"""Scores of what Python holds: arrays, tables and members, with their labels inside or beside.

array or tensor                   as in `arrays.py`
DataFrame of pandas or polars     a table as in `layout.py`
{"logits": ..., "labels": ...}    named arrays; or an array for each member
{"seed0": df, "seed1": {...}}     members: tables, dicts of arrays, or lists of batches
[array, array]                    members: arrays (samples, classes) or (samples), tables, or lists
                                  of batches
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from torch import Tensor

from bvalign.predictions.readers.objects import scores_of_object
from bvalign.predictions.scores.held import held
from bvalign.predictions.scores.names import LABEL, Names, shorten
from bvalign.predictions.scores.scores import Scores
from bvalign.predictions.scores.stack import stack_members

CALLED = {"ndarray": "array", "Tensor": "tensor"}
"""Type of a source -> what messages call it, where that differs."""

Labels = Shaped[np.ndarray, "..."] | None


def open_memory(source: object, labels: object, names: Names) -> Scores:
    """Opens the scores of an object; arrays are not copied, and read block by block.

    Args:
        source: as above.
        labels: array, tensor, list or Series (samples), in the order of the rows of a table; None
            where the source has its own, or none.
        names: given by the user.

    Raises:
        ValueError: the source is none of the above, it has labels of its own and others are given,
            or its parts do not fit together.
    """
    path = Path(CALLED.get(type(source).__name__, type(source).__name__))
    if labels is None:
        return _open(path, source, None, names)
    if names.label is not None:
        raise ValueError(
            f"{path}: labels are given, and label={names.label!r} names others; choose one"
        )
    try:
        values = held(labels).load()
    except ValueError as error:
        raise ValueError(f"{path}: the labels beside it: {error}") from error
    return _open(path, source, values, names)


def _open(path: Path, source: object, labels: Labels, names: Names) -> Scores:
    source = _as_dict(source)
    if _is_table(source):
        return _open_table(path, source, labels, names)
    members = _members(path, source, names)
    if members:
        one = replace(names, one_member=True)
        parts = {name: _open(path / name, part, None, one) for name, part in members.items()}
        _refuse_two(path, [name for name, part in parts.items() if part.labels is not None], labels)
        return stack_members(path, parts, {} if labels is None else {"labels": labels})
    if _is_array(source) or (isinstance(source, list | tuple) and not _are_dicts(source)):
        source = {"scores": source}
    if isinstance(source, Mapping):
        _refuse_two(path, [name for name in source if str(name).lower() in LABEL], labels)
        return scores_of_object(
            path, source if labels is None else {**source, "labels": labels}, names
        )
    if isinstance(source, list | tuple):
        if labels is not None:
            raise ValueError(f"{path}: labels of rows belong in their dicts, as 'label'")
        return scores_of_object(path, source, names)
    raise ValueError(
        f"{path}: needs an array, a tensor, a DataFrame, a dict of arrays, a list of members, or "
        f"the path of a file, got {type(source).__name__}"
    )


def _members(path: Path, source: object, names: Names) -> dict[str, object]:
    """Gives the members of a list or dict of them by name; none where it is something else."""
    if names.one_member or not isinstance(source, Mapping | list | tuple):
        return {}
    if isinstance(source, Mapping):
        found = {str(name): _as_dict(value) for name, value in source.items()}
        whole = [_is_table(v) or isinstance(v, Mapping) or _are_dicts(v) for v in found.values()]
    else:
        found = {str(number): value for number, value in enumerate(source)}
        whole = [_is_table(v) or _is_array(v) or _are_batches(v) for v in source]
        if _are_dicts(source) and any(map(_is_array, source[0].values())):
            raise ValueError(
                f"{path}: {len(source)} dicts of arrays may be members or batches; name members, "
                "as in {'seed0': dict, ...}, or give the batches of each as {'seed0': list, ...}"
            )
    return found if all(whole) else {}


def _as_dict(value: object) -> object:
    """Names the parts of a named tuple, such as what Trainer.predict of Hugging Face returns."""
    return value._asdict() if hasattr(value, "_asdict") else value


def _open_table(path: Path, frame: object, labels: Labels, names: Names) -> Scores:
    """Opens a table, with labels as a column of it."""
    import pyarrow as pa  # where needed: it takes a while

    from bvalign.predictions.tables.parquet import open_table

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The DataFrame has column names of mixed type")
            table = pa.table(frame)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(
            f"{path}: is no table that Arrow takes ({error}); collect it, or save its numbers as "
            "columns of one type"
        ) from error
    if labels is None:
        return open_table(path, table, names)
    _refuse_two(path, [name for name in table.column_names if name.lower() in LABEL], labels)
    if labels.shape != (table.num_rows,):
        raise ValueError(
            f"{path}: needs a label for each of its {table.num_rows} rows, got {labels.shape}"
        )
    return open_table(path, table.append_column("label", pa.array(labels)), names)


def _refuse_two(path: Path, inside: Sequence[str], labels: Labels) -> None:
    """Raises if labels are inside the source and beside it."""
    if inside and labels is not None:
        raise ValueError(
            f"{path}: has labels inside ({shorten(inside)}), and others are given beside it; "
            "leave out one"
        )


def _is_table(value: object) -> bool:
    """Tells a DataFrame, of which pandas, polars and Arrow have their own."""
    return hasattr(type(value), "columns")


def _is_array(value: object) -> bool:
    """Tells arrays, tensors and Series from numbers and other objects."""
    made = isinstance(value, Tensor) or hasattr(type(value), "__array__")
    return made and not _is_table(value) and len(value.shape) > 0


def _are_dicts(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(part, Mapping) for part in value)
    )


def _are_batches(value: object) -> bool:
    """Tells the batches of one member."""
    several = isinstance(value, list | tuple) and bool(value)
    return several and (_are_dicts(value) or all(map(_is_array, value)))
