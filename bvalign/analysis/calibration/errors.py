"""Calibration errors of predicted probabilities, from the cells of `cells.py`.

Over cells b with n_b of the N samples (or pairs of sample and class) and mean residual d_b:

    absolute          sum_b n_b/N ‖d_b‖_1, too high: noise alone adds about
                      sqrt(2 m(1-m) / (pi n_b)) to each |d_b|, for a mean prediction m
    squared_debiased  sum_b n_b/N (‖d_b‖² - noise_b), with noise_b the squared standard error of
                      d_b: unbiased, hence often negative when the predictor is calibrated
                      (Kumar et al. 2019, whose noise_b = f (1-f) / (n_b-1), with f the observed
                      frequency, agrees when the predictions in a cell are equal)

Coarser bins give a smaller error. torchmetrics has `absolute` for confidence, but rounds multiclass
confidences to float32 and gives 1.0 a bin of its own; its binary version is the reference of the
tests.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.analysis.calibration.cells import Cells


class CalibrationError(NamedTuple):
    """Errors under one notion of calibration; float64 scalars."""

    absolute: Float[Tensor, ""]  # probability
    squared_debiased: Float[Tensor, ""]  # squared probability, over cells of two samples and more
    alone: Float[Tensor, ""]  # fraction of samples alone in a cell, left out of squared_debiased


def calibration_error(cells: Cells) -> CalibrationError:
    """Calibration error of cells, under the notion that they were made for."""
    single = cells.noise.isnan()
    squared = cells.residual.square().sum(dim=-1) - cells.noise
    return CalibrationError(
        absolute=(cells.fraction * cells.residual.abs().sum(dim=-1)).sum(),
        squared_debiased=torch.where(single, 0.0, cells.fraction * squared).sum(),
        alone=torch.where(single, cells.fraction, 0.0).sum() / cells.fraction.sum(),
    )


def squared_influence(cells: Cells, num_samples: int) -> Float[Tensor, " samples"]:
    """Influence of each sample on `squared_debiased`; its mean is sum_b n_b/N ‖d_b‖².

    Samples alone in a cell have none, as they are left out.

    Args:
        cells: made of those samples.
        num_samples: N.
    """
    sample, cell, residuals, pairs = cells.items
    mean = torch.where(cells.noise.isnan().unsqueeze(1), 0.0, cells.residual)[cell]
    own = 2 * (mean * residuals).sum(dim=-1)
    square = mean.square().sum(dim=-1)
    own -= square if pairs is None else pairs * square
    return own.new_zeros(num_samples).index_add(0, sample, own)
