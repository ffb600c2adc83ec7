"""Per-sample values in W&B: a table with images, and a scatter plotted in the browser."""

import sys
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8
from lightning.pytorch.loggers import WandbLogger


def log_samples(
    logger: WandbLogger,
    columns: Mapping[str, Shaped[np.ndarray, " samples"]],
    images: UInt8[np.ndarray, "samples channels height width"] | None = None,
    max_rows: int = 10_000,
) -> None:
    """Logs `test/samples`, one row per test sample.

    Args:
        logger: on rank zero.
        columns: by name.
        images: of the samples, if there are any.
        max_rows: a larger test set is subsampled at random (seed 0), and one line says so; W&B
            truncates long tables silently.
    """
    import wandb

    num_samples = len(next(iter(columns.values())))
    rows = _subsample(num_samples, max_rows)
    if len(rows) < num_samples:
        print(
            f"W&B: test/samples shows {len(rows):,} of {num_samples:,} samples, chosen at random "
            "with seed 0; samples.csv has all",
            file=sys.stderr,
        )
    cells = {name: column[rows].tolist() for name, column in columns.items()}
    if images is not None:
        cells = {"image": [wandb.Image(_channels_last(image)) for image in images[rows]], **cells}
    data = [list(row) for row in zip(*cells.values(), strict=True)]
    logger.log_table("test/samples", columns=list(cells), data=data)


def log_points(
    logger: WandbLogger,
    bias_sq: Float[np.ndarray, " samples"],
    variance: Float[np.ndarray, " samples"],
    max_rows: int = 10_000,
) -> None:
    """Logs `test/alignment_points`, log10 variance over log10 squared bias.

    Args:
        logger: on rank zero.
        bias_sq: squared probability.
        variance: squared probability.
        max_rows: more samples are subsampled at random (seed 0); the title has both numbers.
    """
    import wandb

    usable = np.flatnonzero((bias_sq > 0) & (variance > 0))
    rows = usable[_subsample(len(usable), max_rows)]
    x, y = np.log10(bias_sq[rows]), np.log10(variance[rows])
    names = ["log10 bias_sq", "log10 variance"]
    table = wandb.Table(columns=names, data=np.stack([x, y], axis=1).tolist())
    title = f"variance over squared bias, {len(rows)} of {len(bias_sq)} samples"
    logger.log_metrics({"test/alignment_points": wandb.plot.scatter(table, *names, title=title)})


def _subsample(num_rows: int, max_rows: int) -> Int[np.ndarray, " rows"]:
    """Selects all rows, or a random subset of `max_rows` without repeats, in order."""
    if num_rows <= max_rows:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(0).permutation(num_rows)[:max_rows])


def _channels_last(
    image: UInt8[np.ndarray, "channels height width"],
) -> UInt8[np.ndarray, "height width channels"]:
    return np.moveaxis(image, 0, -1)
