"""Predictions on disk: what members leave behind, and what the analysis reads."""

from pathlib import Path

from bvalign.predictions.npz import open_npz
from bvalign.predictions.run_directory import FinishedMember, RunDirectory
from bvalign.predictions.table import Predictions

__all__ = ["FinishedMember", "Predictions", "RunDirectory", "open_predictions"]


def open_predictions(source: Path | str) -> tuple[Predictions, dict[str, object]]:
    """Predictions of a run directory or of a `.npz`, and what is known of how they were made.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: it is damaged, or does not hold predictions.
    """
    source = Path(source)
    if not source.is_dir():
        return open_npz(source), {"source": source.name}
    run = RunDirectory(source)
    return run.predictions(), run.info
