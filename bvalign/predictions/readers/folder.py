"""Predictions of a folder with one `.npy` or `.safetensors` per member, read in blocks.

    labels.npy             class ids (samples), optional
    index.npy              rows of the data set (samples), optional
    weights.npy            how often each member counts (members, in order of name), optional
    clusters.npy           the cluster of each sample, integers or strings (samples), optional
    images.npy             uint8 (samples, channels, height, width), optional, for the report
    texts.npy              strings (samples), optional; class_names.npy (classes)
    seed0.npy              scores (samples, classes), or integer votes (samples), of member seed0
    seed0.labels.npy       what member seed0 was evaluated on, optional; compared between members
    seed0.index.npy        the same for its index
    seed1.safetensors      the same with tensors logits, probs or votes, optionally labels, index

A `.npy` does not say whether it contains logits or probabilities: rows that sum to one are taken
for probabilities, and a note says so. Ids are numbers if all names are.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Num
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bvalign.predictions.readers.mapped import Rows, open_npy
from bvalign.predictions.readers.probabilities import ROWS_READ, rounding_of
from bvalign.predictions.readers.scores import KEYS, Scores
from bvalign.predictions.readers.side_arrays import SHOWN
from bvalign.predictions.readers.strings import file_name

SUFFIXES = (".npy", ".safetensors")
SHARED = ("labels", "index", "weights", "clusters")
"""Arrays of the folder that are no member, beside those for the report."""


class _Member(NamedTuple):
    name: str
    key: str | None  # logits, probs or votes; None where the file does not say
    shape: tuple[int, ...]
    dtype: str
    take: Callable[[Rows], Num[Tensor, "rows ..."]]
    labels: np.ndarray | None
    index: np.ndarray | None


def member_files(folder: Path) -> list[Path]:
    """Lists the files of members, sorted by number if all names are numbers."""
    shared = {folder / f"{name}.npy" for name in (*SHARED, *SHOWN)}
    files = [
        file
        for file in folder.iterdir()
        if file.suffix in SUFFIXES
        and file not in shared
        and not file.name.startswith(".")
        and not file.stem.endswith((".labels", ".index"))
    ]
    numbers = all(file.stem.isdecimal() for file in files)
    return sorted(files, key=lambda file: int(file.stem) if numbers else file.name)


def open_folder(folder: Path) -> Scores:
    """Opens the scores of a folder of members.

    Raises:
        ValueError: a file is missing or damaged, or the members' shapes differ.
    """
    shared = [folder / f"{key}.npy" for key in SHARED]
    labels, index, weights, clusters = (
        open_npy(file).load() if file.exists() else None for file in shared
    )
    shown = {name: folder / f"{name}.npy" for name in SHOWN}
    files = member_files(folder)
    if not files:
        raise ValueError(f"{folder}: needs a .npy or .safetensors for each member, has none")
    openers = {".npy": _open_npy_member, ".safetensors": _open_safetensors_member}
    members = [openers[file.suffix](file) for file in files]
    _check_shapes(folder, files, members)
    keys = {member.key or ("votes" if len(member.shape) == 1 else None) for member in members}
    if len(keys) > 1:
        kinds = ", ".join(f"{m.name}: {m.key or 'unnamed'}" for m in members)
        raise ValueError(f"{folder}: all members must have one kind of scores, got {kinds}")
    wide = torch.float32 if {m.dtype for m in members} <= {"float16", "bfloat16"} else torch.float64
    mixed = len({member.dtype for member in members}) > 1

    def take(rows: Rows) -> Num[Tensor, "members rows ..."]:
        scores = [member.take(rows) for member in members]
        return torch.stack([s.to(wide) for s in scores] if mixed else scores)

    key, notes = keys.pop(), ()
    if key is None:
        key, notes = _guess_kind(folder, take, [member.dtype for member in members])
    names = [member.name for member in members]
    numbers = all(name.isdecimal() for name in names)
    return Scores(
        path=folder,
        key=key,
        shape=(len(members), *members[0].shape),
        dtypes=tuple(member.dtype for member in members),
        take=take,
        labels=_join(folder, "labels", labels, members),
        index=_join(folder, "index", index, members),
        members=np.array([int(n) for n in names] if numbers else names),
        weights=weights,
        clusters=clusters,
        notes=notes,
        shown={name: open_npy(file).load() for name, file in shown.items() if file.exists()},
    )


def _check_shapes(folder: Path, files: list[Path], members: list[_Member]) -> None:
    first = members[0].shape
    for file, member in zip(files, members, strict=True):
        if not member.shape:
            raise ValueError(
                f"{file}: a member must be scores (samples, classes) or votes (samples), got a "
                "single number"
            )
        if member.shape != first:
            raise ValueError(
                f"{folder}: all members must have the same samples and classes, but {file.name} "
                f"is {member.shape} and {files[0].name} {first}"
            )


def _join(
    folder: Path, key: str, shared: np.ndarray | None, members: list[_Member]
) -> np.ndarray | None:
    """Gives the folder's array (samples), or (members, samples) where members bring theirs."""
    own = [getattr(member, key) for member in members]
    if all(values is None for values in own):
        return shared
    if shared is None and any(values is None for values in own):
        missing = next(m.name for m, values in zip(members, own, strict=True) if values is None)
        raise ValueError(f"{folder}: some members have '{key}', but {missing} does not")
    rows = [shared if values is None else values for values in own]
    reference = rows[0] if shared is None else shared
    for member, values in zip(members, rows, strict=True):
        if values.shape != reference.shape:
            raise ValueError(
                f"{folder}: '{key}' of member {member.name} must be {reference.shape}, got "
                f"{values.shape}"
            )
    different = int((rows[0] != reference).sum())
    if different and all((values == rows[0]).all() for values in rows):
        raise ValueError(
            f"{folder}: {key}.npy differs from the members' own '{key}' at {different} rows"
        )
    return np.stack(rows)


def _open_npy_member(path: Path) -> _Member:
    array = open_npy(path)
    own = [path.with_name(f"{path.stem}.{key}.npy") for key in ("labels", "index")]
    labels, index = (open_npy(file).load() if file.exists() else None for file in own)
    return _Member(
        name=file_name(path.stem),
        key=None,
        shape=array.shape,
        dtype=array.dtype_name,
        take=lambda rows: array.take(rows, axis=0),
        labels=labels,
        index=index,
    )


def _open_safetensors_member(path: Path) -> _Member:
    try:
        with safe_open(path, framework="pt") as file:
            names = sorted(file.keys())
            key = next((key for key in KEYS if key in names), None)
            tensors = {
                name: file.get_tensor(name).clone() for name in {"labels", "index"} & {*names}
            }
            shape = file.get_slice(key).get_shape() if key else ()
            row = (file.get_slice(key)[:0] if shape else file.get_tensor(key)) if key else None
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a complete .safetensors ({error})") from error
    if row is None:
        raise ValueError(
            f"{path}: needs a tensor named logits, probs or votes, has {', '.join(names) or 'none'}"
        )

    def take(rows: Rows) -> Num[Tensor, "rows ..."]:
        try:
            with safe_open(path, framework="pt") as file:
                tensor = file.get_tensor(key)
                return tensor[rows].clone() if isinstance(rows, slice) else tensor[rows]
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path}: vanished or was cut short ({error})") from error

    return _Member(
        name=file_name(path.stem),
        key=key,
        shape=tuple(shape),
        dtype=str(row.dtype).removeprefix("torch."),
        take=take,
        **{
            name: tensors[name].numpy() if name in tensors else None for name in ("labels", "index")
        },
    )


def _guess_kind(
    folder: Path, take: Callable[[Rows], Num[Tensor, "members rows ..."]], dtypes: list[str]
) -> tuple[str, tuple[str, ...]]:
    """Tells unnamed logits from probabilities by the first rows of all members; with a note."""
    values = take(slice(0, ROWS_READ)).double()
    if values.ndim != 3 or not values.numel():
        return "logits", ()
    fraction = float(rounding_of(values, dtypes).sums_to_one(values).double().mean())
    if fraction < 0.5 and ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"{folder}: all scores lie in 0..1, but {1 - fraction:.0%} of the first rows do not "
            "sum to one; save them as .safetensors with the name logits or probs"
        )
    key, what = ("probs", "sum to one") if fraction >= 0.5 else ("logits", "do not sum to one")
    return key, (f"members are read as {key}, because rows of the .npy files {what}",)
