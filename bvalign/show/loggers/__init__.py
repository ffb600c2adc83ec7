"""Logging of ensembles, tables and figures to W&B and TensorBoard."""

from bvalign.show.loggers.figures import ABLE, log_figure
from bvalign.show.loggers.wandb_run import WandbRun
from bvalign.show.loggers.wandb_setup import use_wandb
from bvalign.show.loggers.wandb_tables import log_samples

__all__ = ["ABLE", "WandbRun", "log_figure", "log_samples", "use_wandb"]
