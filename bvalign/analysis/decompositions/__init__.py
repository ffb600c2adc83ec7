"""Per-sample decompositions of the risk under each loss, and per-sample statistics as columns.

The torchmetrics classes are in `metrics.py`, which is not imported here as it needs torchmetrics.
"""

from bvalign.analysis.decompositions.columns import (
    Column,
    Kind,
    NamedColumns,
    Unit,
    columns_of,
)
from bvalign.analysis.decompositions.error_kinds import NEARLY_ALL, ErrorKinds, error_kinds
from bvalign.analysis.decompositions.log_statistics import jackknife_shift_of, log_moments_of
from bvalign.analysis.decompositions.member_probs import MemberProbs, member_probs
from bvalign.analysis.decompositions.other_losses import (
    CrossEntropy,
    ZeroOne,
    cross_entropy,
    cross_entropy_of,
    disagreement,
    vote_counts,
    zero_one,
)
from bvalign.analysis.decompositions.pieces import in_pieces
from bvalign.analysis.decompositions.soft_labels import (
    AnswerNoise,
    LabelNoise,
    Labels,
    SoftLabelDecomposition,
    SoftLabels,
    answer_noise,
    chance_of,
    decompose_soft_labels,
    expected_error,
    expected_log,
    label_residual,
    noise_of,
    soft_labels_of,
)
from bvalign.analysis.decompositions.squared_loss import (
    Decomposition,
    Moments,
    centred_squares,
    decompose,
    label_noise,
    moments,
    moments_of,
    pair_products,
    residual,
    softmax,
)
from bvalign.analysis.decompositions.weighted import WeightedDecomposition, weighted_decompose

__all__ = [
    "NEARLY_ALL",
    "AnswerNoise",
    "Column",
    "CrossEntropy",
    "Decomposition",
    "ErrorKinds",
    "Kind",
    "LabelNoise",
    "Labels",
    "MemberProbs",
    "Moments",
    "NamedColumns",
    "SoftLabelDecomposition",
    "SoftLabels",
    "Unit",
    "WeightedDecomposition",
    "ZeroOne",
    "answer_noise",
    "centred_squares",
    "chance_of",
    "columns_of",
    "cross_entropy",
    "cross_entropy_of",
    "decompose",
    "decompose_soft_labels",
    "disagreement",
    "error_kinds",
    "expected_error",
    "expected_log",
    "in_pieces",
    "jackknife_shift_of",
    "label_noise",
    "label_residual",
    "log_moments_of",
    "member_probs",
    "moments",
    "moments_of",
    "noise_of",
    "pair_products",
    "residual",
    "soft_labels_of",
    "softmax",
    "vote_counts",
    "weighted_decompose",
    "zero_one",
]
