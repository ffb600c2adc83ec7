"""A matplotlib figure to the loggers that can show one."""

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ABLE = (WandbLogger, TensorBoardLogger)
"""Loggers that show figures."""


def log_figure(logger: Logger, key: str, figure: Figure, step: int | None = None) -> None:
    """Logs a figure as a W&B image or a TensorBoard figure; other loggers show none.

    Args:
        logger: on rank zero.
        key: under which it is found.
        figure: drawn here, without pyplot.
        step: of the trainer, if it belongs to one.
    """
    if isinstance(logger, WandbLogger):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        logger.log_image(key, images=[np.asarray(canvas.buffer_rgba())[..., :3]], step=step)
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_figure(key, figure, global_step=step)
