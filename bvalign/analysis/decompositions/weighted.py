"""Per-sample squared bias and variance of an ensemble whose members count with weights.

Weights are multiplicities: a member that was trained once and entered twice, a bootstrap over
members. Symbols, for one test sample: w_m >= 0 is member m's weight, s_m = w_m / sum w its share,
p̄ = sum_m s_m p_m, r_m = p_m - e_y the residual, e_y the one-hot label, and

    bias_sq   ‖p̄ - e_y‖²
    variance  sum_m s_m ‖p_m - p̄‖²
    risk      sum_m s_m ‖p_m - e_y‖² = bias_sq + variance, exactly

Let d = sum over m != m' of s_m s_m' = 1 - sum_m s_m², the chance that two draws from the shares
are different members. For distinct members drawn independently, on average over draws, bias_sq
is too high by (1 - d) times the true variance and variance is d times it (Kish 1965, whose
effective number of members is 1 / (1 - d)). Hence

    variance_unbiased = variance / d
    bias_sq_unbiased  = bias_sq - (1 - d) variance_unbiased         may be zero or negative
    bias_sq_pairs     = sum over m != m' of s_m s_m' <r_m, r_m'> / d          always > 0

Both estimate the same squared bias without error on average. The first adds up with
variance_unbiased to the risk; the second may go under a logarithm. They agree for equal weights.
With the weights left out, members entered twice make variance_unbiased too small.
"""

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Real
from torch import Tensor

from bvalign.analysis.decompositions.columns import Unit
from bvalign.analysis.decompositions.squared_loss import residual, softmax


class WeightedDecomposition(NamedTuple):
    """One number per sample, squared probability; float64 except `correct`.

    The last three values are NaN where a single member has all the weight.
    """

    bias_sq: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    variance: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    risk: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    # the largest mean probability is at the label
    correct: Annotated[Bool[Tensor, " samples"], Unit("0 or 1")]
    variance_unbiased: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    bias_sq_unbiased: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    bias_sq_pairs: Annotated[Float[Tensor, " samples"], Unit("squared probability")]


def weighted_decompose(
    logits: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    weights: Real[Tensor, " weights"],
) -> WeightedDecomposition:
    """The values of distinct members that count with weights.

    Args:
        logits: of the distinct members, each listed once.
        target: class ids.
        weights: multiplicities, one per member, integer or not; only their ratios matter.

    Raises:
        ValueError: the weights are not one finite number >= 0 per member, or all are zero.

    >>> logits = torch.tensor([[[0.0, 0.0]], [[9.0, 9.0]]])      # two members, both undecided
    >>> weighted_decompose(logits, torch.tensor([1]), torch.tensor([2, 1])).bias_sq.item()
    0.5
    """
    share = _shares(weights, len(logits), logits.device)
    probs = softmax(logits)
    mean = torch.einsum("m,mnk->nk", share, probs)
    spread = residual(probs, mean.argmax(dim=-1))
    spread = spread - torch.einsum("m,mnk->nk", share, spread)
    bias_sq = residual(mean, target).square().sum(dim=-1)
    variance = torch.einsum("m,mnk->n", share, spread.square())

    pairs, distinct = torch.zeros_like(bias_sq), torch.zeros_like(share[0])
    before, share_before = torch.zeros_like(mean), torch.zeros_like(share[0])
    for member_share, member_residual in zip(share, residual(probs, target), strict=True):
        pairs += 2 * member_share * (before * member_residual).sum(dim=-1)
        distinct += 2 * member_share * share_before
        before += member_share * member_residual
        share_before += member_share
    return WeightedDecomposition(
        bias_sq=bias_sq,
        variance=variance,
        risk=bias_sq + variance,
        correct=mean.argmax(dim=-1) == target,
        variance_unbiased=variance / distinct,
        bias_sq_unbiased=bias_sq - (1 - distinct) * variance / distinct,
        bias_sq_pairs=pairs / distinct,
    )


def _shares(weights: Tensor, num_members: int, device: torch.device) -> Float[Tensor, " members"]:
    """The weights in float64, scaled to add up to one."""
    shares = weights.to(device, torch.float64)
    if shares.shape != (num_members,) or not (shares.isfinite() & (shares >= 0)).all():
        raise ValueError(
            f"weights must be {num_members} finite numbers >= 0, one per member, got "
            f"{weights.tolist()}; leave a member out by weight 0"
        )
    if not shares.any():
        raise ValueError(f"weights must not all be zero, got {weights.tolist()}; name one member")
    return shares / shares.sum()
