"""Per-sample values in W&B: one table, and a scatter to hover over, zoom and filter."""

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped, UInt8
from lightning.pytorch.loggers import WandbLogger

from bvalign.show.figures.style import CORRECT, WRONG
from bvalign.show.quantities import title

INPUTS, OUTPUTS = ("image", "text", "index", "label"), ("prediction",)
"""Columns of the table by which rows of several runs are matched, and what is compared of them."""

SCORES = ("correct", "bias_sq", "variance", "risk", "disagreement")
"""Columns that every table has, empty where whoever logs it does not know them."""

Columns = Mapping[str, Shaped[np.ndarray, " samples"]]


def log_samples(
    logger: WandbLogger,
    columns: Columns,
    images: UInt8[np.ndarray, "samples channels height width"] | None = None,
    texts: Sequence[str] | None = None,
    max_rows: int = 10_000,
) -> None:
    """Logs `test/samples`, one row per test sample: what it is, the prediction, then `SCORES`.

    Online, and where the package weave is installed, it is an EvalTable, in which W&B compares the
    samples of several runs; elsewhere a table.

    Args:
        logger: on rank zero.
        columns: by name; those that are not in the schema come last.
        images: of the samples, if there are any.
        texts: likewise.
        max_rows: a larger test set is subsampled at random (seed 0), and one line says so; W&B
            truncates long tables silently.
    """
    import wandb

    num_samples = len(columns["index"])
    rows = _subsample(num_samples, max_rows)
    if len(rows) < num_samples:
        print(
            f"W&B: test/samples shows {len(rows):,} of {num_samples:,} samples, chosen at random "
            "with seed 0; samples.parquet has all",
            file=sys.stderr,
        )
    cells: dict[str, list[Any]] = {}
    if images is not None:
        cells["image"] = [wandb.Image(_channels_last(image)) for image in images[rows]]
    if texts is not None:
        cells["text"] = [texts[row] for row in rows]
    for name in dict.fromkeys((*INPUTS[2:], *OUTPUTS, *SCORES, *columns)):
        known = name in columns
        cells[name] = columns[name][rows].tolist() if known else [None] * len(rows)
    table = {"columns": list(cells), "data": [list(r) for r in zip(*cells.values(), strict=True)]}
    kind, roles = wandb.Table, {}
    if _compares(logger.experiment):
        kind, roles = wandb.EvalTable, _roles(list(cells))
    logger.log_metrics({"test/samples": kind(**table, **roles)})


def log_points(logger: WandbLogger, columns: Columns, max_rows: int = 10_000) -> None:
    """Logs `test/alignment_points`, variance over squared bias, coloured by the prediction.

    A point says its sample, label and prediction. It is a Plotly figure: W&B draws those itself,
    while its own scatter (`wandb/scatter/v0`) colours points by run only.

    Args:
        logger: on rank zero.
        columns: by name.
        max_rows: more samples are subsampled at random (seed 0); the title has both numbers.
    """
    import plotly.graph_objects as go
    import wandb

    usable = np.flatnonzero((columns["bias_sq"] > 0) & (columns["variance"] > 0))
    if not len(usable):  # as of one member
        return
    rows = usable[_subsample(len(usable), max_rows)]
    kept = {name: column[rows] for name, column in columns.items()}
    correct = kept["correct"].astype(bool)
    figure = go.Figure(layout=_layout(f"{len(rows):,} of {len(columns['index']):,} samples"))
    for name, color, chosen in (("correct", CORRECT, correct), ("wrong", WRONG, ~correct)):
        # lists, as W&B's Plotly need not know the packed arrays of a newer one
        said = np.stack([kept[key][chosen] for key in ("index", "label", "prediction")], axis=1)
        figure.add_scattergl(
            x=kept["bias_sq"][chosen].tolist(),
            y=kept["variance"][chosen].tolist(),
            customdata=said.tolist(),
            mode="markers",
            name=f"{name} ({chosen.sum():,})",
            marker={"color": color, "size": 4, "opacity": 0.6},
            hovertemplate=HOVER,
        )
    logger.log_metrics({"test/alignment_points": wandb.Plotly(figure)})


HOVER = (
    "sample %{customdata[0]}<br>label %{customdata[1]}<br>prediction %{customdata[2]}<br>"
    f"{title('bias_sq')} %{{x:.3g}}<br>{title('variance')} %{{y:.3g}}<extra></extra>"
)


def _layout(heading: str) -> dict[str, object]:
    axes = {"type": "log", "exponentformat": "power"}
    unit = "(squared probability)"
    return {
        "title": {"text": heading},
        "xaxis": {**axes, "title": {"text": f"{title('bias_sq')} {unit}"}},
        "yaxis": {**axes, "title": {"text": f"{title('variance')} {unit}"}},
    }


def _compares(experiment: Any) -> bool:
    """Tells whether W&B can keep a table whose samples it compares across runs."""
    import wandb

    has = hasattr(wandb, "EvalTable") and importlib.util.find_spec("weave") is not None
    return has and not experiment.offline


def _roles(columns: Sequence[str]) -> dict[str, list[str]]:
    return {
        "input_columns": [name for name in columns if name in INPUTS],
        "output_columns": [name for name in columns if name in OUTPUTS],
        "score_columns": [name for name in columns if name not in INPUTS + OUTPUTS],
    }


def _subsample(num_rows: int, max_rows: int) -> Int[np.ndarray, " rows"]:
    """Selects all rows, or a random subset of `max_rows` without repeats, in order."""
    if num_rows <= max_rows:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(0).permutation(num_rows)[:max_rows])


def _channels_last(
    image: UInt8[np.ndarray, "channels height width"],
) -> UInt8[np.ndarray, "height width channels"]:
    return np.moveaxis(image, 0, -1)
