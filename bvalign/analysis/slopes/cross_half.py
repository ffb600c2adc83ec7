"""A check of the population slope that assumes nothing of the noise: `cross_half`.

Of three separate parts of the members, one sorts the samples into bins, one gives the mean unbiased
bias_sq and variance of each bin, and one decides which samples count as correct; the slope is that
of the logs of bin means. The errors of the parts are independent and those within a bin average
out, so the noise of members creates a line only where all samples are alike. Averaged over splits
and over the six ways to assign the parts. It describes ensembles of a third of the members and is
pulled towards one, like `ols` but less.
"""

from itertools import permutations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bvalign.analysis.slopes.lines import cloud

NUM_BINS = 30
LEAST_BINS, SAMPLES_PER_BIN = 3, 10


def cross_half(
    bias_sq: Float[Tensor, "splits parts drawn"],
    variance: Float[Tensor, "splits parts drawn"],
    correct: Bool[Tensor, "splits parts drawn"],
) -> tuple[float, float]:
    """Slope and intercept; NaN with fewer than 30 correct samples.

    Args:
        bias_sq: unbiased, of three parts of the members.
        variance: unbiased.
        correct: samples that each part gets right.
    """
    lines = [
        _binned_line(bias_sq[split], variance[split], correct[split], roles)
        for split in range(len(bias_sq))
        for roles in permutations(range(3))
    ]
    slope, intercept = torch.tensor([*lines], dtype=torch.float64).reshape(-1, 2).nanmean(dim=0)
    return float(slope), float(intercept)


def _binned_line(
    bias_sq: Float[Tensor, "parts drawn"],
    variance: Float[Tensor, "parts drawn"],
    correct: Bool[Tensor, "parts drawn"],
    roles: tuple[int, int, int],
) -> tuple[float, float]:
    sort, measure, judge = roles
    kept = torch.nonzero(correct[judge]).flatten()
    # stable, as votes tie: otherwise the bins depend on the processor
    order = kept[torch.from_numpy(np.argsort(bias_sq[sort, kept].numpy(), kind="stable"))]
    num_bins = min(NUM_BINS, len(order) // SAMPLES_PER_BIN)
    if num_bins < LEAST_BINS:
        return float("nan"), float("nan")
    parts = np.array_split(order.numpy(), num_bins)
    means = [
        torch.tensor([float(values[measure][part].mean()) for part in parts], dtype=torch.float64)
        for values in (bias_sq, variance)
    ]
    usable = (means[0] > 0) & (means[1] > 0)
    x, y = (mean[usable].log() for mean in means)
    line = cloud(x, y, torch.ones(1, len(x), dtype=torch.float64)).line()
    return float(line["slope"]), float(line["intercept"])
