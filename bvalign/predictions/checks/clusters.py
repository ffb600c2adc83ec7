"""Clusters of samples, such as patients or videos: chosen, checked and numbered.

Samples of one cluster resemble each other, so that N of them say less than N that were drawn one by
one. Whoever made the samples knows the clusters; they cannot be seen in the logits.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int64, Shaped

from bvalign.predictions.checks.sample_file import read_csv, read_npy
from bvalign.predictions.predictions import Predictions


class Clusters(NamedTuple):
    """Clusters as `Predictions` has them."""

    numbers: Int64[np.ndarray, " samples"] | None  # None: samples are independent
    notes: tuple[str, ...]


CLUSTER = "cluster"
"""Name of their column in a file."""


def read_clusters(
    path: Path,
    own: Shaped[np.ndarray, "..."] | None,
    file: Path | None,
    samples: Shaped[np.ndarray, " samples"],
) -> Shaped[np.ndarray, "..."] | None:
    """Takes the clusters of the predictions, or of a file beside them; None if there are none.

    Args:
        path: of the predictions, named in messages.
        own: clusters that the predictions contain, in the order of their rows.
        file: a `.npy` or `.csv` as in `sample_file.py`, or None.
        samples: numbers or names of the samples, in the same order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: both are given, or the clusters are not what they must be.
    """
    if file is None:
        if own is not None:
            _check_clusters(path, own, len(samples))
        return own
    if own is not None:
        raise ValueError(
            f"{path} contains clusters, and {file} was given beside them; choose one: leave out "
            "--clusters, or remove them from the predictions"
        )
    if file.suffix.lower() not in (".npy", ".csv") and file.exists():
        raise ValueError(f"{file}: clusters must be a .npy or a .csv, got '{file.suffix}'")
    if file.suffix.lower() == ".npy":
        given = read_npy(file)
    else:
        given = read_csv(file, samples, CLUSTER)[CLUSTER].numbers
    _check_clusters(file, given, len(samples))
    return given


def find_clusters(
    given: Shaped[np.ndarray, "..."] | None,
    file: Path | None,
    order: Int[np.ndarray, " samples"],
) -> Clusters:
    """Numbers the clusters.

    Args:
        given: the result of `read_clusters`, without samples that were left out.
        file: where they come from, if not from the predictions.
        order: rows of the predictions, sorted by index.
    """
    if given is None:
        return Clusters(None, ())
    _, first, place = np.unique(given[order], return_index=True, return_inverse=True)
    numbers = np.argsort(np.argsort(first))[place].astype(np.int64)
    return Clusters(numbers, (_note(numbers, file),))


def with_clusters(predictions: Predictions, file: Path) -> Predictions:
    """Adds the clusters of a file to predictions without any, whose rows are sorted by index.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the clusters are not what they must be.
    """
    given = read_clusters(file, None, file, predictions.index)
    clusters = find_clusters(given, file, np.arange(predictions.num_samples))
    notes = (*predictions.notes, *clusters.notes)
    return replace(predictions, clusters=clusters.numbers, notes=notes)


def _check_clusters(path: Path, given: np.ndarray, num_samples: int) -> None:
    if given.dtype.kind not in "iuU" or given.shape != (num_samples,):
        raise ValueError(
            f"{path}: clusters must be {num_samples} integers or strings, one per sample, got "
            f"{given.dtype} {given.shape}"
        )
    empty = int((given == "").sum()) if given.dtype.kind == "U" else 0
    if empty:
        raise ValueError(
            f"{path}: every sample must have a cluster, but {empty} of {num_samples} are empty; "
            "give a sample that stands alone a cluster of its own"
        )
    if (given == given[0]).all():
        raise ValueError(
            f"{path}: there must be at least two clusters, got one for all {num_samples} samples; "
            "leave clusters out if samples were drawn one by one"
        )


def _note(numbers: Int64[np.ndarray, " samples"], file: Path | None) -> str:
    sizes = np.bincount(numbers)
    return (
        f"clusters: {len(numbers):,} samples in {len(sizes):,} clusters"
        f"{'' if file is None else f' of {file.name}'} (largest {sizes.max():,}); intervals treat "
        "clusters, not samples, as drawn at random"
    )
