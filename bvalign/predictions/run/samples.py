"""Samples as the report shows them: `samples.npz` and `samples-train.npz` of a run directory."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from bvalign.atomic import atomic_path

Split = Literal["train", "test"]


LAYOUT = {"index": ("i", 1), "target": ("i", 1), "clean_target": ("i", 1), "images": ("u", 4)}
LAYOUT |= dict.fromkeys(("class_names", "notes", "texts"), ("U", 1))
"""Kind of the NumPy type and number of axes of each array."""


class Samples(NamedTuple):
    """The samples of a split, with what the report shows of each."""

    target: Int64[np.ndarray, " samples"]
    class_names: tuple[str, ...]
    images: UInt8[np.ndarray, "samples channels height width"] | None
    notes: tuple[str, ...] = ()  # remarks that everybody who uses the results must see
    texts: tuple[str, ...] | None = None  # one per sample
    clean_target: Int64[np.ndarray, " samples"] | None = None  # where target has known errors


def write_samples(path: Path, samples: Samples) -> None:
    """Writes the file, unless an intact one is there."""
    with suppress(ValueError):
        read_samples(path)
        return
    strings = {"class_names": samples.class_names, "notes": samples.notes, "texts": samples.texts}
    arrays = {k: np.array(list(v), dtype=str) for k, v in strings.items() if v is not None}
    optional = {"images": samples.images, "clean_target": samples.clean_target}
    arrays |= {name: values for name, values in optional.items() if values is not None}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, index=np.arange(len(samples.target)), target=samples.target, **arrays
        )


def read_samples(path: Path) -> dict[str, np.ndarray]:
    """Reads the arrays of the file: index, and the fields of `Samples` that it has.

    Raises:
        ValueError: it is missing or damaged.
    """
    try:
        if not path.is_file():
            raise ValueError("there is no file")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as samples:
            arrays = {key: samples[key] for key in samples.files}
        wrong = _wrong(arrays)
    except Exception as error:  # of a damaged archive, NumPy and zipfile raise almost any
        wrong = str(error) or type(error).__name__
    if wrong:
        raise ValueError(f"{path}: damaged ({wrong}); the `fit` of this run writes it again")
    return arrays


def _wrong(arrays: Mapping[str, np.ndarray]) -> str | None:
    """Says which array is missing, or not as it is written."""
    if missing := {"index", "target", "class_names", "notes"} - arrays.keys():
        return f"without {', '.join(sorted(missing))}"
    number, classes = arrays["target"].shape[0], len(arrays["class_names"])
    known = [(name, *LAYOUT[name]) for name in LAYOUT if name in arrays]  # others are not read
    for name, kind, axes in known:
        values = arrays[name]
        if values.dtype.kind != kind or values.ndim != axes:
            return f"{name} is {values.dtype} {values.shape}"
        if name not in ("class_names", "notes") and len(values) != number:
            return f"{name} has {len(values)} samples, and target {number}"
        if name.endswith("target") and not ((values >= 0) & (values < classes)).all():
            return f"{name} is no class of the {classes} class_names"
    return None
