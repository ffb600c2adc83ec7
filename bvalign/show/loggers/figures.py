"""Logging of matplotlib figures."""

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 150
"""Of images in W&B, which shows them large."""

ABLE = (WandbLogger, TensorBoardLogger)
"""Loggers that can show figures."""


def log_figure(logger: Logger, key: str, figure: Figure, step: int | None = None) -> None:
    """Logs a figure as a W&B image or a TensorBoard figure; does nothing for other loggers.

    Args:
        logger: on rank zero.
        key: name of the figure in the logger.
        figure: rendered here, without pyplot.
        step: of the trainer, if the figure belongs to one.
    """
    if isinstance(logger, WandbLogger):
        figure.set_dpi(DPI)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        logger.log_image(key, images=[np.asarray(canvas.buffer_rgba())[..., :3]], step=step)
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_figure(key, figure, global_step=step)
