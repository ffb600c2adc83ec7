"""What callbacks log of a decomposition: its means, the line, and the scatter."""

import sys
from collections.abc import Sequence

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger

from bvalign.analysis.decompositions import Decomposition
from bvalign.analysis.slopes import log_log_line
from bvalign.show.figures import Line, Panel, alignment_scatter
from bvalign.show.loggers import ABLE, log_figure


def alignment_scalars(values: Decomposition) -> tuple[dict[str, float], Line | None]:
    """Means over samples, and the line where there is one: (name -> value, line)."""
    found = log_log_line(values.bias_sq, values.variance, values.correct)
    fit = {key: float(value) for key, value in found.items()}
    scalars = {
        name: float(getattr(values, name).mean()) for name in ("bias_sq", "variance", "risk")
    }
    scalars["accuracy"] = float(values.correct.double().mean())
    scalars |= {f"alignment/{key}": value for key, value in fit.items() if np.isfinite(value)}
    exists = np.isfinite(fit["slope"])
    return scalars, Line("ols", fit["slope"], fit["intercept"]) if exists else None


def why_incomplete(trainer: Trainer, stage: str) -> str | None:
    """Says why this Trainer does not show all samples to a stage; None if it does.

    Args:
        trainer: within the stage.
        stage: test, validate or predict.
    """
    limited = {"test": "limit_test_batches", "validate": "limit_val_batches"}
    name = limited.get(stage, "limit_predict_batches")
    limit = getattr(trainer, name)
    if trainer.sanity_checking:
        return "the sanity check sees a few batches"
    if trainer.fast_dev_run:
        return f"fast_dev_run={trainer.fast_dev_run} sees a few batches"
    if limit == 1.0 and isinstance(limit, float):
        return None
    return f"{name}={limit} may leave out samples"


def tell(callback: object, why: str, trainer: Trainer) -> None:
    """Says in one line, from rank zero, that a callback keeps and draws nothing."""
    if trainer.is_global_zero:
        print(f"{type(callback).__name__}: {why}, so nothing is kept or drawn", file=sys.stderr)


def log_scatter(
    key: str,
    values: Decomposition,
    line: Line | None,
    num_classes: int,
    loggers: Sequence[Logger],
    step: int,
) -> None:
    """Draws the scatter for the loggers that can show one; on rank zero.

    One member has no variance, so there is nothing to draw.
    """
    able = [logger for logger in loggers if isinstance(logger, ABLE)]
    if not able or values.count[0] == 1:
        return
    bias_sq, variance, correct = (
        v.cpu().numpy() for v in (values.bias_sq, values.variance, values.correct)
    )
    size = {"num_members": int(values.count[0]), "num_classes": num_classes}
    lines = () if line is None else (line,)
    figure = alignment_scatter([Panel("plug-in", bias_sq, variance, lines)], correct, **size)
    for logger in able:
        log_figure(logger, key, figure, step=step)
