"""The configuration and the results of an ensemble in its W&B run."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from bvalign.analysis.summary import Analysis
from bvalign.atomic import write_atomic
from bvalign.decisions import Decisions
from bvalign.predictions import Predictions, RunDirectory
from bvalign.predictions.run.history import Curves, training_curves
from bvalign.show.figures import curves_band
from bvalign.show.loggers.figures import log_figure
from bvalign.show.loggers.wandb_numbers import nested, options, results
from bvalign.show.loggers.wandb_samples import log_points, log_samples
from bvalign.show.loggers.wandb_setup import in_sweep

STEPS_PER_START = 1_000_000
"""Offset of the steps of each further start of an offline W&B run: offline, W&B cannot know where
the last start stopped, and it drops steps that come twice."""


class WandbRun:
    """Logs the configuration at the start and the results of all members at the end.

    | logged key | meaning |
    | --- | --- |
    | `config` | `identity`, `provenance`, and `cli`, the whole configuration; beside them its
      values under the names of the options, as `model.width`, which are those of a sweep |
    | `test/samples` | a W&B table, one row per test sample: image or text, label, prediction,
      values |
    | `test/alignment_points` | variance over squared bias, coloured by correct or wrong, to hover |
    | `members/train_loss/mean`, `low`, `high` | over all members, at each `members/epoch`; low and
      high are the 10% and 90% quantiles |
    | `members/val_accuracy/mean`, `low`, `high` | the same, where validated |
    | `members/curves` | an image of both: mean and band |
    | `result/num_members` | members behind the results, which are in the run's summary |
    | `result/accuracy`, `member_accuracy` | of the ensemble, and of a random member |
    | `result/bias_sq`, `variance`, `risk` | of all members; `result/noise` too with soft labels |
    | `result/variance_share` | fraction of the risk that is variance |
    | `result/slope`, `result/offset` | of the population: quote both if `result/quotable` |
    | `result/ols` | slope of these members, the paper's |
    | `decisions/members`, `systematic`, ... | the number of each decision, by its key |
    | `..._low`, `..._high` | ends of the 95% interval of each of these numbers |

    Args:
        log_report: whether to log report.html, summary.json and the samples as an artifact.
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
            whole = {"identity": nested(run.identity), "provenance": provenance, "cli": cli}
            whole |= options(cli, run.identity)
            of_agent = set(logger.experiment.config.keys()) if in_sweep() else set()
            logger.log_hyperparams({k: v for k, v in whole.items() if k not in of_agent})
            experiment = logger.experiment
            experiment.define_metric("members/*", step_metric="members/epoch")
            starts = len(list(Path(run.root, "wandb").glob(f"*run-*-{experiment.id}")))
            if starts > 1 and experiment.offline:
                experiment.log({}, step=(starts - 1) * STEPS_PER_START)
            if not experiment.offline:
                print(f"W&B: {experiment.url}", file=sys.stderr)

    def has_logged(self, run: RunDirectory) -> bool:
        """Tells whether there is nothing to log of a run; a trial of a sweep always logs."""
        logged = run.root / "wandb" / "members_logged"
        members = str(len(run.finished()[0]))
        return not in_sweep() and logged.exists() and logged.read_text() == members

    def finish(
        self,
        loggers: Sequence[Logger],
        run: RunDirectory,
        analysis: Analysis,
        decisions: Decisions,
    ) -> None:
        """Logs the results of all members and ends the W&B run; once per number of members."""
        if run.missing() or self.has_logged(run):
            return
        for logger in _on_rank_zero(loggers):
            predictions = run.predictions()
            folders = [run.member(member).path for member in predictions.members]
            _log_curves(logger, training_curves(folders))
            columns = shown_columns(analysis, predictions)
            shown = (predictions.images, predictions.texts)
            log_samples(logger, columns, *shown, self.max_rows)
            log_points(logger, columns, self.max_rows)
            logger.experiment.summary.update(results(analysis, decisions))
            self._log_files(logger, run)
            logger.experiment.finish()
            logged = run.root / "wandb" / "members_logged"
            write_atomic(logged, str(analysis.num_members).encode())

    def _log_files(self, logger: WandbLogger, run: RunDirectory) -> None:
        import wandb

        name = f"{run.root.name}-{logger.version}"
        if self.log_report:
            report = wandb.Artifact(f"{name}-report", type="report")
            for file in ("report.html", "summary.json", "samples.csv", "samples.parquet"):
                if (run.root / file).exists():  # of the samples not all are written
                    report.add_file(str(run.root / file))
            logger.experiment.log_artifact(report)
        if self.log_predictions:
            predictions = wandb.Artifact(f"{name}-predictions", type="predictions")
            for file in ("run.json", "samples.npz"):
                predictions.add_file(str(run.root / file))
            found = run.root.glob("members/*/logits.safetensors")
            for path in sorted([*found, *run.root.glob("members/*/logits/[!.]*")]):
                predictions.add_file(str(path), name=path.relative_to(run.root).as_posix())
            logger.experiment.log_artifact(predictions)


def _on_rank_zero(loggers: Sequence[Logger]) -> Iterator[WandbLogger]:
    if rank_zero_only.rank == 0:
        yield from (logger for logger in loggers if isinstance(logger, WandbLogger))


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
    return columns | {key: names[columns[key]] for key in ("label", "prediction")}
