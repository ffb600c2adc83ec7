"""Calibration error of ensembles of some of the members.

The notion is confidence, in 15 bins of equal width: it is what is quoted, and it needs no more of
an ensemble than its largest probability. The error is the squared one with its noise taken off,
so that it is right on average for any number of samples (`calibration/errors.py`); the absolute
one is too high by noise, and would seem to change where only the noise does.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.analysis.calibration import confidence_cells, squared_influence


def set_errors(
    confidence: Float[Tensor, "sets samples"], excess: Float[Tensor, "sets samples"]
) -> tuple[Float[Tensor, " sets"], Float[Tensor, "sets samples"]]:
    """Debiased squared error of each set, and the influence of each sample on it.

    Args:
        confidence: largest probability.
        excess: the same minus the chance that its class is the label.
    """
    sets, number = excess.shape
    of_set = torch.arange(sets).repeat_interleave(number)
    items = (values.double().reshape(-1, 1) for values in (confidence, excess))
    cells = confidence_cells(*items, of_set.unsqueeze(1))
    influence = squared_influence(cells, sets * number).view(sets, number)
    noise = cells.noise.nan_to_num(nan=0.0)[cells.items.cell].view(sets, number)
    return influence.mean(dim=1) - noise.mean(dim=1), influence
