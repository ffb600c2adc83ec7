"""The configuration and the results of an ensemble in its W&B run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from bvalign.analysis.summary import Analysis
from bvalign.predictions import Predictions, RunDirectory
from bvalign.predictions.run.history import Curves, training_curves
from bvalign.show.figures import curves_band
from bvalign.show.loggers.figures import log_figure
from bvalign.show.loggers.wandb_tables import log_points, log_samples

STEPS_PER_START = 1_000_000
"""Offset of the steps of each further start of an offline W&B run: offline, W&B cannot know where
the last start stopped, and it drops steps that come twice."""

FIRST_COLUMNS = ("index", "label", "prediction", "correct")
"""Of the W&B table of samples."""


class WandbRun:
    """Logs the configuration at the start and the results of all members at the end.

    | logged key | meaning |
    | --- | --- |
    | `config` | `identity`, `provenance`, and `cli`, the whole configuration |
    | `test/samples` | a W&B table, one row per test sample: image, label, prediction, values |
    | `test/alignment_points` | log10 variance over log10 squared bias, plotted in the browser |
    | `members/train_loss/mean`, `low`, `high` | over all members, at each `members/epoch`; low and
      high are the 10% and 90% quantiles |
    | `members/val_accuracy/mean`, `low`, `high` | the same, where validated |
    | `members/curves` | an image of both: mean and band |
    | `result/accuracy`, `bias_sq`, `variance`, `risk` | of all members, in the run's summary;
      `result/noise` too with soft labels |
    | `result/slope`, `result/offset` | of the population: quote both if `result/quotable` |
    | `result/ols` | slope of these members, the paper's |
    | `result/slope_low`, `result/slope_high`, ... | ends of the 95% interval of each of the three |

    Args:
        log_report: whether to log report.html, summary.json and samples.csv as an artifact.
        log_predictions: whether to log the members' logits and the labels as an artifact, 4 bytes
            for each member, sample and class.
        max_rows: rows of the W&B table; a larger test set is subsampled at random (seed 0).
    """

    def __init__(
        self, log_report: bool = True, log_predictions: bool = False, max_rows: int = 10_000
    ) -> None:
        if max_rows < 1:
            raise ValueError(f"wandb.max_rows must be at least 1, got {max_rows}")
        self.log_report, self.log_predictions = log_report, log_predictions
        self.max_rows = max_rows

    def start(self, loggers: Sequence[Logger], run: RunDirectory, cli: dict[str, object]) -> None:
        """Logs the configuration; the first call starts the W&B run.

        Args:
            loggers: all except those of W&B are ignored.
            run: the run directory that the members are written to.
            cli: the whole configuration.
        """
        provenance = {k: v for k, v in run.info.items() if k not in ("identity", "schema", "packs")}
        for logger in _on_rank_zero(loggers):
            identity = _nested(run.identity)
            logger.log_hyperparams({"identity": identity, "provenance": provenance, "cli": cli})
            experiment = logger.experiment
            experiment.define_metric("members/*", step_metric="members/epoch")
            starts = len(list(Path(run.root, "wandb").glob(f"*run-*-{experiment.id}")))
            if starts > 1 and experiment.offline:
                experiment.log({}, step=(starts - 1) * STEPS_PER_START)

    def finish(self, loggers: Sequence[Logger], run: RunDirectory, analysis: Analysis) -> None:
        """Logs the results of all members and ends the W&B run; once per number of members."""
        logged, members = run.root / "wandb" / "members_logged", str(analysis.num_members)
        if run.missing() or (logged.exists() and logged.read_text() == members):
            return
        for logger in _on_rank_zero(loggers):
            predictions = run.predictions()
            folders = [run.member(member).path for member in predictions.members]
            _log_curves(logger, training_curves(folders))
            log_samples(
                logger, shown_columns(analysis, predictions), predictions.images, self.max_rows
            )
            log_points(logger, analysis["bias_sq"], analysis["variance"], self.max_rows)
            logger.experiment.summary.update(_result(analysis))
            self._log_files(logger, run)
            logger.experiment.finish()
            logged.write_text(members)

    def _log_files(self, logger: WandbLogger, run: RunDirectory) -> None:
        import wandb

        name = f"{run.root.name}-{logger.version}"
        if self.log_report:
            report = wandb.Artifact(f"{name}-report", type="report")
            for file in ("report.html", "summary.json", "samples.csv"):
                report.add_file(str(run.root / file))
            logger.experiment.log_artifact(report)
        if self.log_predictions:
            predictions = wandb.Artifact(f"{name}-predictions", type="predictions")
            for file in ("run.json", "samples.npz"):
                predictions.add_file(str(run.root / file))
            for path in sorted(run.root.glob("members/*/logits.safetensors")):
                predictions.add_file(str(path), name=path.relative_to(run.root).as_posix())
            logger.experiment.log_artifact(predictions)


def _on_rank_zero(loggers: Sequence[Logger]) -> Iterator[WandbLogger]:
    if rank_zero_only.rank == 0:
        yield from (logger for logger in loggers if isinstance(logger, WandbLogger))


def _nested(flat: dict[str, object]) -> dict[str, object]:
    """Turns {"model.lr": 0.1} into {"model": {"lr": 0.1}}, since W&B filters by dots."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        at = nested
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return nested


def _log_curves(logger: WandbLogger, curves: Curves) -> None:
    measured = {k: v for k, v in curves.values.items() if np.isfinite(v).any()}
    if not measured:
        return
    for place, epoch in enumerate(curves.epoch.tolist()):
        row: dict[str, float] = {"members/epoch": epoch}
        for name, values in measured.items():
            now = values[:, place][np.isfinite(values[:, place])]
            if len(now):
                low, high = np.quantile(now, [0.1, 0.9])
                numbers = {"mean": now.mean(), "low": low, "high": high}
                row |= {f"members/{name}/{key}": float(v) for key, v in numbers.items()}
        logger.log_metrics(row)
    log_figure(logger, "members/curves", curves_band(curves.epoch, measured))


def shown_columns(
    analysis: Analysis, predictions: Predictions
) -> dict[str, Shaped[np.ndarray, " samples"]]:
    """Returns the columns of samples.csv that are marked as shown, with classes by name."""
    names = np.array(predictions.class_names or range(analysis.num_classes), dtype=object)
    columns = {k: c.values.numpy() for k, c in analysis.columns().items() if c.unit.shown}
    columns |= {key: names[columns[key]] for key in ("label", "prediction")}
    return {key: columns[key] for key in FIRST_COLUMNS} | columns


def _result(analysis: Analysis) -> dict[str, float]:
    means, found = analysis.means, analysis.alignment
    population = found.logit_slope
    keys = ("noise", "bias_sq", "variance", "risk")
    numbers = {key: means[key].value for key in keys if key in means}
    numbers |= {"accuracy": analysis.accuracy.value, "quotable": population.quotable}
    for name, number in (
        ("slope", population.slope),
        ("offset", population.offset),
        ("ols", found.ols["slope"]),
    ):
        low, high = number.quoted_interval or (None, None)
        numbers |= {name: number.value, f"{name}_low": low, f"{name}_high": high}
    return {f"result/{key}": value for key, value in numbers.items() if value is not None}
