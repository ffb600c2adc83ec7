"""Per-sample squared bias and variance of an ensemble of weighted members.

Weights are multiplicities: a member trained once and listed twice, a bootstrap over members.
Symbols, for one test sample: w_m >= 0 is member m's weight, s_m = w_m / sum w the normalised
weight, p̄ = sum_m s_m p_m, r_m = p_m - e_y the residual, e_y the one-hot label, and

    bias_sq   ‖p̄ - e_y‖²
    variance  sum_m s_m ‖p_m - p̄‖²
    risk      sum_m s_m ‖p_m - e_y‖² = bias_sq + variance, exactly

Let d = sum over m != m' of s_m s_m' = 1 - sum_m s_m², the probability that two members drawn with
probabilities s are different. For distinct, independently trained members, bias_sq is on average
too high by (1 - d) times the true variance, and variance is d times it (Kish 1965, whose effective
number of members is 1 / (1 - d)). Hence

    variance_unbiased = variance / d
    bias_sq_unbiased  = bias_sq - (1 - d) variance_unbiased         may be zero or negative
    bias_sq_pairs     = sum over m != m' of s_m s_m' <r_m, r_m'> / d          always > 0

Both are unbiased estimates of the same squared bias. The first adds up to the risk with
variance_unbiased; the second can be put on a log axis. They agree for equal weights. Where weights
are ignored, members listed twice make variance_unbiased too small.
"""

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Real
from torch import Tensor

from bvalign.analysis.decompositions.columns import Unit
from bvalign.analysis.decompositions.pieces import in_pieces
from bvalign.analysis.decompositions.squared_loss import (
    label_noise,
    pair_products,
    residual,
    softmax,
)


class WeightedDecomposition(NamedTuple):
    """Decomposition with weighted members, one value per sample; float64 except `correct`.

    The last three values are NaN where a single member has all the weight.
    """

    bias_sq: Annotated[Float[Tensor, " samples"], Unit("squared probability", kind="positive")]
    variance: Annotated[Float[Tensor, " samples"], Unit("squared probability", kind="positive")]
    risk: Annotated[Float[Tensor, " samples"], Unit("squared probability", kind="positive")]
    # the largest mean probability is at the label
    correct: Annotated[Bool[Tensor, " samples"], Unit("0 or 1")]
    variance_unbiased: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", kind="positive")
    ]
    bias_sq_unbiased: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    bias_sq_pairs: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", kind="positive")
    ]


def weighted_decompose(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    member_weights: Real[Tensor, " weights"],
    offset: Float[Tensor, "samples classes"] | None = None,
) -> WeightedDecomposition:
    """Squared-loss decomposition of distinct members with weights.

    Args:
        logits: of the distinct members, each listed once.
        target: class ids.
        member_weights: multiplicities, one per member, integer or not; only ratios matter.
        offset: q - e_y of soft labels, as for `squared_loss.decompose`; None for class ids.

    Raises:
        ValueError: the weights are not one finite number >= 0 per member, or all are zero.

    >>> logits = torch.tensor([[[0.0, 0.0]], [[9.0, 9.0]]])      # two members, both undecided
    >>> weighted_decompose(logits, torch.tensor([1]), torch.tensor([2, 1])).bias_sq.item()
    0.5
    """
    normalised = _normalised(member_weights, len(logits), logits.device)
    soft = () if offset is None else (offset,)
    return in_pieces(lambda x, *y: _decompose(normalised, x, *y), logits, target, *soft)


def _decompose(
    normalised: Float[Tensor, " members"],
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    offset: Float[Tensor, "samples classes"] | None = None,
) -> WeightedDecomposition:
    probs = softmax(logits)
    weights = normalised.reshape(-1, 1, 1)
    mean = (weights * probs).sum(dim=0)
    spread = residual(probs, mean.argmax(dim=-1))
    spread -= (weights * spread).sum(dim=0)
    to_label, residuals, noise = residual(mean, target), residual(probs, target), 0.0
    if offset is not None:
        to_label, residuals = to_label - offset, residuals - offset
        noise = label_noise(offset, target)
    bias_sq = to_label.square().sum(dim=-1)
    variance = spread.square_().mul_(weights).sum(dim=0).sum(dim=-1)
    pairs = 2 * pair_products(residuals.mul_(weights))
    distinct = 2 * pair_products(weights)
    return WeightedDecomposition(
        bias_sq=bias_sq,
        variance=variance,
        risk=noise + bias_sq + variance,
        correct=mean.argmax(dim=-1) == target,
        variance_unbiased=variance / distinct,
        bias_sq_unbiased=bias_sq - (1 - distinct) * variance / distinct,
        bias_sq_pairs=pairs / distinct,
    )


def _normalised(
    member_weights: Tensor, num_members: int, device: torch.device
) -> Float[Tensor, " members"]:
    """Weights in float64 that sum to one."""
    weights = member_weights.to(device, torch.float64)
    if weights.shape != (num_members,) or not (weights.isfinite() & (weights >= 0)).all():
        raise ValueError(
            f"weights must be {num_members} finite numbers >= 0, one per member, got "
            f"{member_weights.tolist()}; give a member weight 0 to leave it out"
        )
    if not weights.any():
        raise ValueError(
            f"weights must not all be zero, got {member_weights.tolist()}; one member is enough"
        )
    return weights / weights.sum()
