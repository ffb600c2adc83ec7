"""Predictions on disk: training writes them, the analysis reads them."""

from pathlib import Path

from bvalign.predictions.predictions import Predictions
from bvalign.predictions.readers import (
    file_name,
    member_files,
    open_csv,
    open_folder,
    open_npz,
    open_parquet,
    to_predictions,
    with_clusters,
)
from bvalign.predictions.run import FinishedMember, MemberState, RunDirectory

__all__ = [
    "FinishedMember",
    "MemberState",
    "Predictions",
    "RunDirectory",
    "file_name",
    "open_predictions",
]

READERS = {".csv": open_csv, ".parquet": open_parquet}


def open_predictions(
    source: Path | str, *, clusters: Path | str | None = None
) -> tuple[Predictions, dict[str, object]]:
    """Opens predictions; the logits are read later, block by block.

    Args:
        source: a run directory, a folder with one file per member, a `.csv`, a `.parquet`; any
            other file is read as a `.npz`. Each reader's file says what it must contain.
        clusters: file with the cluster of each sample, where `source` does not contain it: a
            `.npy` (samples) in the order of the rows of `source`, or a `.csv` with columns index
            and cluster.

    Returns:
        The predictions, and where they come from: the contents of run.json, or for anything but a
        run directory `{"source": name}`.

    Raises:
        FileNotFoundError: there is no file of that name.
        ValueError: it is damaged, or does not contain predictions, or the clusters do not fit.
    """
    source, clusters = Path(source), None if clusters is None else Path(clusters)
    if not source.exists():
        raise FileNotFoundError(f"{source}: there is no such file")
    if source.is_dir():
        if (source / "run.json").exists() or not member_files(source):
            run = RunDirectory(source)
            predictions = run.predictions()
            return with_clusters(predictions, clusters) if clusters else predictions, run.info
        scores = open_folder(source)
    else:
        scores = READERS.get(source.suffix.lower(), open_npz)(source)
    return to_predictions(scores, clusters), {"source": file_name(source.name)}
