"""Estimator cross_half, the slope to quote: a line through bins, from three groups of members.

Group A sorts the samples into bins, B gives the mean unbiased bias_sq and variance of each bin, C
decides which samples count as correct; the logarithm is taken of bin means. The errors of the
groups are independent, so noise of the members alone cannot create a line. Slopes are averaged
over random splits and over the six ways to assign roles to three groups.
"""

from itertools import permutations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from bvalign.analysis.slopes.lines import Numbers, ReplicateWeights, average, cloud
from bvalign.analysis.slopes.member_subsets import MemberSubset
from bvalign.analysis.slopes.subset_values import SubsetValues

NUM_BINS = 30


def cross_half(
    values: SubsetValues, subset: MemberSubset, replicate_weights: ReplicateWeights
) -> Numbers:
    """Fits a line to the logs of bin means; bins, means and correctness from three groups."""
    return average(
        [
            _binned_line(values, sort, measure, judge, replicate_weights)
            for split in subset.thirds
            for sort, measure, judge in permutations(split)
        ]
    )


def _binned_line(
    values: SubsetValues, sort: int, measure: int, judge: int, replicate_weights: ReplicateWeights
) -> Numbers:
    keep = torch.nonzero(values.correct[judge]).flatten()
    # NumPy's argsort is twice as fast as torch.argsort
    order = keep[np.argsort(values.bias_sq_unbiased[sort, keep].numpy())]
    # replicate weights are counts, exact in float32: half the bytes to gather
    replicate_weights = replicate_weights.float().index_select(1, order).double()
    num_bins = min(NUM_BINS, len(order) // 10)
    if num_bins < 3:
        undefined = torch.full((len(replicate_weights),), torch.nan, dtype=torch.float64)
        return {"slope": undefined, "intercept": undefined}
    reached = replicate_weights.cumsum(dim=1)
    edges = torch.arange(1, num_bins, dtype=torch.float64) * reached[:, -1:] / num_bins
    middles = reached.sub_(replicate_weights, alpha=0.5)
    starts = pad(torch.searchsorted(middles, edges), (1, 1))
    starts[:, -1] = len(order)

    def bin_sums(summands: Tensor) -> Tensor:
        return torch.segment_reduce(summands, "sum", offsets=starts, axis=1)

    count = bin_sums(replicate_weights)
    bias_sq = bin_sums(replicate_weights * values.bias_sq_unbiased[measure, order]) / count
    variance = bin_sums(replicate_weights * values.variance_unbiased[measure, order]) / count
    usable = (count > 0) & (bias_sq > 0) & (variance > 0)
    x, y = (torch.where(usable, v, 1.0).log() for v in (bias_sq, variance))
    moments = cloud(x, y, usable.double())
    line = moments.line(moments.least_squares())
    return {"slope": line["slope"], "intercept": line["intercept"]}
