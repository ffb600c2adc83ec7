"""Logging of ensembles, tables and figures to W&B and TensorBoard."""

from bvalign.show.loggers.figures import ABLE, log_figure
from bvalign.show.loggers.wandb_run import WandbRun
from bvalign.show.loggers.wandb_samples import log_samples
from bvalign.show.loggers.wandb_setup import log_to_run, use_wandb

__all__ = ["ABLE", "WandbRun", "log_figure", "log_samples", "log_to_run", "use_wandb"]
