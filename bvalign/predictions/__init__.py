"""Predictions on disk: what members leave behind, and what the analysis reads."""

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
    """Predictions of a run directory, a folder of members, or a file, and how they were made.

    Args:
        source: a run directory, a folder with one file per member, a `.csv`, a `.parquet`; any
            other file is taken for a `.npz`. Each reader's file says what it must hold.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: it is damaged, or does not hold predictions.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"{source}: there is no such file")
    if source.is_dir():
        if (source / "run.json").exists() or not member_files(source):
            run = RunDirectory(source)
            return run.predictions(), run.info
        raw = open_folder(source)
    else:
        raw = READERS.get(source.suffix.lower(), open_npz)(source)
    return to_predictions(raw), {"source": source.name}
