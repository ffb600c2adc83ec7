"""Per-sample decompositions of the risk under each loss, and what a per-sample column is.

`metrics.py` has the torchmetrics classes; it imports torchmetrics, and so is not imported here.
"""

from bvalign.analysis.decompositions.columns import Column, NamedColumns, Unit, columns_of
from bvalign.analysis.decompositions.means import Mean, mean_over_samples
from bvalign.analysis.decompositions.other_losses import (
    CrossEntropy,
    ZeroOne,
    cross_entropy,
    disagreement,
    jackknife_shift,
    log_moments,
    vote_counts,
    zero_one,
)
from bvalign.analysis.decompositions.squared_loss import (
    Decomposition,
    Moments,
    centred_squares,
    decompose,
    moments,
    residual,
    softmax,
)
from bvalign.analysis.decompositions.weighted import WeightedDecomposition, weighted_decompose

__all__ = [
    "Column",
    "CrossEntropy",
    "Decomposition",
    "Mean",
    "Moments",
    "NamedColumns",
    "Unit",
    "WeightedDecomposition",
    "ZeroOne",
    "centred_squares",
    "columns_of",
    "cross_entropy",
    "decompose",
    "disagreement",
    "jackknife_shift",
    "log_moments",
    "mean_over_samples",
    "moments",
    "residual",
    "softmax",
    "vote_counts",
    "weighted_decompose",
    "zero_one",
]
