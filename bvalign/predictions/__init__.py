"""Predictions on disk: training writes them, the analysis reads them."""

from pathlib import Path

from bvalign.predictions.predictions import Predictions
from bvalign.predictions.readers import (
    member_files,
    open_csv,
    open_folder,
    open_npz,
    open_parquet,
    to_predictions,
)
from bvalign.predictions.run import FinishedMember, MemberState, RunDirectory

__all__ = ["FinishedMember", "MemberState", "Predictions", "RunDirectory", "open_predictions"]

READERS = {".csv": open_csv, ".parquet": open_parquet}


def open_predictions(source: Path | str) -> tuple[Predictions, dict[str, object]]:
    """Opens predictions; the logits are read later, block by block.

    Args:
        source: a run directory, a folder with one file per member, a `.csv`, a `.parquet`; any
            other file is read as a `.npz`. Each reader's file says what it must contain.

    Returns:
        The predictions, and where they come from: the contents of run.json, or for anything but a
        run directory `{"source": name}`.

    Raises:
        FileNotFoundError: there is no file of that name.
        ValueError: it is damaged, or does not contain predictions.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"{source}: there is no such file")
    if source.is_dir():
        if (source / "run.json").exists() or not member_files(source):
            run = RunDirectory(source)
            return run.predictions(), run.info
        scores = open_folder(source)
    else:
        scores = READERS.get(source.suffix.lower(), open_npz)(source)
    return to_predictions(scores), {"source": source.name}
