"""Per-sample values as W&B shows them: a table with images, and a scatter drawn in the browser."""

import sys
from collections.abc import Mapping

import numpy as np
from lightning.pytorch.loggers import WandbLogger


def log_samples(
    logger: WandbLogger,
    columns: Mapping[str, np.ndarray],
    images: np.ndarray | None = None,
    max_rows: int = 10_000,
) -> None:
    """Logs `test/samples`, one row per test sample.

    Args:
        logger: on rank zero.
        columns: (samples) each, by name.
        images: uint8 (samples, channels, height, width), or None.
        max_rows: of a larger test set a random part is shown (seed 0), and one line says so; W&B
            cuts a longer table silently.
    """
    import wandb

    num_samples = len(next(iter(columns.values())))
    rows = _some(num_samples, max_rows)
    if len(rows) < num_samples:
        print(
            f"W&B: test/samples shows {len(rows):,} of {num_samples:,} samples, drawn at random "
            "with seed 0; samples.csv has all",
            file=sys.stderr,
        )
    cells = {name: column[rows].tolist() for name, column in columns.items()}
    if images is not None:
        cells = {"image": [wandb.Image(_channels_last(image)) for image in images[rows]], **cells}
    data = [list(row) for row in zip(*cells.values(), strict=True)]
    logger.log_table("test/samples", columns=list(cells), data=data)


def log_points(
    logger: WandbLogger, bias_sq: np.ndarray, variance: np.ndarray, max_rows: int = 10_000
) -> None:
    """Logs `test/alignment_points`, log10 variance over log10 squared bias.

    Args:
        logger: on rank zero.
        bias_sq: squared probability (samples).
        variance: squared probability (samples).
        max_rows: of more samples a random part is shown (seed 0); the title counts.
    """
    import wandb

    usable = np.flatnonzero((bias_sq > 0) & (variance > 0))
    rows = usable[_some(len(usable), max_rows)]
    x, y = np.log10(bias_sq[rows]), np.log10(variance[rows])
    names = ["log10 bias_sq", "log10 variance"]
    table = wandb.Table(columns=names, data=np.stack([x, y], axis=1).tolist())
    title = f"variance over squared bias, {len(rows)} of {len(bias_sq)} samples"
    logger.log_metrics({"test/alignment_points": wandb.plot.scatter(table, *names, title=title)})


def _some(num_rows: int, max_rows: int) -> np.ndarray:
    """All rows, or a random part of them without repeats, in order."""
    if num_rows <= max_rows:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(0).permutation(num_rows)[:max_rows])


def _channels_last(image: np.ndarray) -> np.ndarray:
    return np.moveaxis(image, 0, -1)
