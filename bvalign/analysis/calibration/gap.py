"""Gap between squared bias and variance, and its link to calibration.

Symbols, for one test sample with M members and K classes: p_m is member m's probabilities, p̄
their mean, y the label, e_y its one-hot vector. For every sample, exactly,

    gap = uncertainty + calibration_residual
    gap                   bias_sq - variance
    uncertainty           1 - mean_m ‖p_m‖², the distance of members from one-hot; needs no label
    calibration_residual  2 <p̄, p̄ - e_y>: zero on average if p̄ is canonically or class-wise
                          calibrated (Chen et al. 2024, section 4)

With `_unbiased`, gap and residual estimate the values of infinitely many members; they are lower
by 2 variance_unbiased / M. The uncertainty is unbiased as it is.

So calibration makes the mean gap equal to the mean uncertainty over all samples, correct and
incorrect. It says nothing about single samples, or about correct ones alone, where the residual is
about -2 (1 - p̄_y) and the two terms cancel. "Calibrated" refers to the ensemble mean p̄: members
and mean can both be calibrated only if the variance is zero.

For soft labels these are the means over labels drawn from q: gap is noise + bias_sq - variance, and
calibration_residual 2 <p̄, p̄ - q>.

If labels are drawn from p̄ the expected risk is risk_label_free = 2 variance_unbiased +
uncertainty, which needs no labels; for one-hot members it is twice the disagreement (Jiang et al.
2022). Its mean misses the mean risk by the mean of calibration_residual_unbiased.
"""

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.calibration.cells import (
    Cells,
    canonical,
    class_aggregated,
    class_wise,
    confidence,
)
from bvalign.analysis.decompositions import (
    Labels,
    Moments,
    Unit,
    centred_squares,
    chance_of,
    decompose,
    expected_error,
    in_pieces,
    label_noise,
    label_residual,
    member_probs,
    moments,
    residual,
    soft_labels_of,
    softmax,
)


class Gap(NamedTuple):
    """Gap identity, one value per sample, float64; unbiased values need two members, else NaN."""

    gap: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    uncertainty: Annotated[Float[Tensor, " samples"], Unit("squared probability", kind="positive")]
    calibration_residual: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    gap_unbiased: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    calibration_residual_unbiased: Annotated[Float[Tensor, " samples"], Unit("squared probability")]


class GapBounds(NamedTuple):
    """Bounds on |mean gap - mean uncertainty|, from binned calibration; float64 scalars.

    Each bound plus `slack` holds for every finite set of samples, not only on average. Without
    the slack it is the binned estimate of a bound on the expectations. Squared probability.
    """

    deviation: Float[Tensor, ""]  # |mean gap - mean uncertainty| = |mean calibration residual|
    canonical: Float[Tensor, ""]  # E (max_k p̄_k - min_k p̄_k) ‖d‖_1
    class_wise: Float[Tensor, ""]  # 2 sum_k E p̄_k |d_k|
    class_aggregated: Float[Tensor, ""]  # the same over pairs (sample, class) in common bins
    confidence: Float[Tensor, ""]  # 2 E c |d| + 2 max(E[wrong] p_2, E (1 - c) p_2)
    slack: Float[Tensor, ""]  # 4 (width of a bin) mean (1 - p̄_y)


def uncertainty_sum(logits: Float[Tensor, "members samples classes"]) -> Float[Tensor, " samples"]:
    """Sum over members of 1 - ‖p_m‖², float64; blocks of members add up."""
    return in_pieces(lambda piece: member_probs(piece).uncertainty.sum(dim=0), logits)


def decompose_gap(
    moments: Moments,
    uncertainty_sum: Float[Tensor, " samples"],
    target: Int[Tensor, " samples"],
    offset: Float[Tensor, "samples classes"] | None = None,
) -> Gap:
    """Gap identity of one (merged) set of members.

    Args:
        moments: of all members.
        uncertainty_sum: `uncertainty_sum` of all members.
        target: class ids, those of the moments.
        offset: q - e_y of soft labels, as for `decompose`; None for class ids.
    """
    count = moments.count.double()
    values = decompose(moments, target, offset)
    uncertainty = uncertainty_sum / count
    # with two members the gap is their pair product, accurate even where bias_sq = variance
    spread = values.bias_sq + values.variance
    gap = (4 * moments.pairs - (count - 2) * count * spread) / count.square()
    if offset is not None:
        gap += label_noise(offset, target)
    excess = 2 * values.variance_unbiased / count
    return Gap(gap, uncertainty, gap - uncertainty, gap - excess, gap - uncertainty - excess)


def gap_identity(
    logits: Float[Tensor, "members samples classes"], target: Int[Tensor, " samples"]
) -> Gap:
    """Gap identity of members that fit into memory together.

    >>> logits = torch.tensor([[[0.0, 0.0]], [[0.0, 0.0]]])      # two members, both undecided
    >>> [value.item() for value in gap_identity(logits, torch.tensor([1]))[:3]]
    [0.5, 0.5, 0.0]
    """
    return decompose_gap(moments(logits, target), uncertainty_sum(logits), target)


def risk_label_free(
    logits: Float[Tensor, "members samples classes"],
) -> Float[Tensor, " samples"]:
    """Expected risk if labels were drawn from the ensemble mean; NaN with one member.

    2 variance_unbiased + uncertainty, squared probability, float64. It needs no labels, and its
    mean is off by the miscalibration of p̄, under distribution shift in particular.
    """
    probs = softmax(logits)
    centred = centred_squares(probs, probs.sum(dim=0).argmax(dim=-1))
    num = len(logits)
    variance_unbiased = centred / (num - 1) if num > 1 else torch.full_like(centred, torch.nan)
    return 2 * variance_unbiased + uncertainty_sum(logits) / num


def gap_bounds(
    probs: Float[Tensor, "samples classes"],
    labels: Labels,
    *,
    num_bins: int = 15,
) -> GapBounds:
    """Bounds from calibration errors on the distance of mean gap and mean uncertainty.

    For K = 2 the confidence bound also holds without its second term; for K >= 3 calibrated
    confidence alone does not suffice.

    Args:
        probs: mean probabilities of the members, float64.
        labels: class ids, or distributions of the label.
        num_bins: bins of equal width per probability.

    Raises:
        ValueError: num_bins is below 1.
    """
    residuals = label_residual(probs, labels)
    whole = canonical(probs, labels, num_bins=num_bins)
    spread = whole.predicted.amax(dim=-1) - whole.predicted.amin(dim=-1)
    first, second = probs.topk(2, dim=-1).values.unbind(dim=-1)
    wrong = 1 - chance_of(labels, probs.argmax(dim=-1))
    runner_up = torch.maximum((wrong * second).mean(), ((1 - first) * second).mean())
    return GapBounds(
        deviation=2 * (probs * residuals).sum(dim=-1).mean().abs(),
        canonical=(whole.fraction * spread * whole.residual.abs().sum(dim=-1)).sum(),
        class_wise=_weighted(class_wise(probs, labels, num_bins=num_bins)),
        class_aggregated=_weighted(class_aggregated(probs, labels, num_bins=num_bins)),
        confidence=_weighted(confidence(probs, labels, num_bins=num_bins)) + 2 * runner_up,
        slack=4 / num_bins * _mean_error(probs, labels),
    )


def _mean_error(probs: Float[Tensor, "samples classes"], labels: Labels) -> Float[Tensor, ""]:
    """Mean of 1 - p̄_y, or of 1 - <p̄, q>."""
    if labels.is_floating_point():
        found = soft_labels_of(labels)
        return expected_error(residual(probs, found.target).abs(), found).mean()
    return -residual(probs, labels).gather(-1, labels.unsqueeze(-1)).mean()


def _weighted(cells: Cells) -> Float[Tensor, ""]:
    """2 sum over cells of (fraction) (mean prediction) |mean residual|."""
    return 2 * (cells.fraction * (cells.predicted * cells.residual.abs()).squeeze(-1)).sum()
