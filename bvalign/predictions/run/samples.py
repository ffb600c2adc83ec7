"""Samples as the report shows them: `samples.npz` and `samples-train.npz` of a run directory."""

import zipfile
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from bvalign.atomic import atomic_path

Split = Literal["train", "test"]


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
    if path.exists() and not _damage(path):
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
    damage = _damage(path)
    if damage:
        raise ValueError(f"{path}: damaged ({damage}); the `fit` of this run writes it again")
    with np.load(path, allow_pickle=False) as samples:
        return {key: samples[key] for key in samples.files}


def _damage(path: Path) -> str | None:
    if not path.is_file():
        return "there is no file"
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        return str(error)
    return broken and f"{broken} is broken"
