"""Per-sample squared bias and variance of an ensemble's probabilities, accurate to rounding.

Symbols, for one test sample with M members and K classes:
    p_m in R^K    member m's probabilities, softmax of its logits;  p̄ = mean_m p_m
    y             the label, e_y its one-hot vector;  r_m = p_m - e_y the residual
    bias_sq       ‖p̄ - e_y‖²                    (Chen et al. 2024, section 2)
    variance      mean_m ‖p_m - p̄‖²             (the same; divides by M)
    risk          mean_m ‖p_m - e_y‖² = bias_sq + variance, exactly

Plug-in values describe these M members. As estimates for the distribution that members are drawn
from, bias_sq is on average too high, and variance too low, by (true variance)/M, so

    variance_unbiased = M/(M-1) variance
    bias_sq_unbiased  = mean over pairs m != m' of <r_m, r_m'>          (a U-statistic, always > 0)

and their sum is again the risk. Plug-in values always obey variance <= (M-1) bias_sq, the
finite-M ceiling that a log-log plot must show.

With soft labels (`soft_labels.py`), q - e_y is taken off every residual: bias_sq is ‖p̄ - q‖², the
risk has the noise 1 - ‖q‖² added, bias_sq_unbiased can be negative, and there is no ceiling.

Three rules preserve the digits of confident samples, where bias_sq is 1e-30 or less:
    1. p_y - 1 is never formed. The residual at y is minus the sum of the other probabilities.
    2. variance is a sum of centred squares, relative to the class of the largest mean probability,
       so it is accurate for confidently wrong samples too.
    3. bias_sq_unbiased is a sum over pairs of products that are all positive, never a difference.

Partial results over disjoint sets of members (`Moments`) can be merged in any order, with the same
values up to rounding.
"""

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.decompositions.columns import Unit
from bvalign.analysis.decompositions.pieces import in_pieces


class Moments(NamedTuple):
    """Sufficient statistics of each sample for the members seen so far; see `merge`. float64."""

    count: Int[Tensor, " samples"]  # members seen
    prob_sum: Float[Tensor, "samples classes"]  # sum_m p_m
    centred: Float[Tensor, " samples"]  # sum_m ‖p_m - p̄‖²
    pairs: Float[Tensor, " samples"]  # sum over m < m' of <r_m, r_m'>


class Decomposition(NamedTuple):
    """Decomposition of the squared loss, one value per sample; float64 except `correct`, `count`.

    The unbiased values need two members and are NaN with one.
    """

    bias_sq: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", shown=True, kind="positive")
    ]
    variance: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", shown=True, kind="positive")
    ]
    risk: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", shown=True, kind="positive")
    ]
    bias_sq_unbiased: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", kind="positive")
    ]
    variance_unbiased: Annotated[
        Float[Tensor, " samples"], Unit("squared probability", kind="positive")
    ]
    # the largest mean probability is at the label
    correct: Annotated[Bool[Tensor, " samples"], Unit("0 or 1", shown=True, kind="proportion")]
    count: Int[Tensor, " samples"]  # members behind the numbers


def softmax(logits: Float[Tensor, "... classes"]) -> Float[Tensor, "... classes"]:
    """Probabilities in float64, whatever the precision of the logits.

    float64 is needed: squares of float32 probabilities underflow from a margin of 43 on.
    """
    probs = logits.to(torch.float64, copy=True)
    # in place and over whole arrays: torch.softmax takes twice as long over 10 classes
    probs -= probs.amax(dim=-1, keepdim=True)
    probs.exp_()
    probs /= probs.sum(dim=-1, keepdim=True)
    return probs


def residual(
    vector: Float[Tensor, "*members samples classes"], reference: Int[Tensor, "*#members samples"]
) -> Float[Tensor, "*members samples classes"]:
    """Vector - (its sum) e_reference, without cancellation at the reference class.

    For probabilities this is p - e_reference; for a sum of M of them, the sum of M residuals.
    """
    at = reference.expand(vector.shape[:-1]).unsqueeze(-1)
    rest = vector.scatter(-1, at, 0.0)
    return rest.scatter_(-1, at, -rest.sum(dim=-1, keepdim=True))


def label_noise(
    offset: Float[Tensor, "samples classes"], target: Int[Tensor, " samples"]
) -> Float[Tensor, " samples"]:
    """1 - ‖q‖² of soft labels, from q - e_y; y the most probable class keeps the digits."""
    at_label = offset.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return -2 * at_label - offset.square().sum(dim=-1)


def centred_squares(
    probs: Float[Tensor, "members samples classes"], reference: Int[Tensor, " samples"]
) -> Float[Tensor, " samples"]:
    """Sum of ‖p_m - p̄‖² over members, squared probability.

    Args:
        probs: p_m, float64.
        reference: class of the largest mean probability, which keeps the digits.
    """
    spread = residual(probs, reference)
    spread -= spread.mean(dim=0)
    return spread.square_().sum(dim=0).sum(dim=-1)


def pair_products(
    residuals: Float[Tensor, "members samples classes"],
) -> Float[Tensor, " samples"]:
    """Sum over m < m' of <r_m, r_m'>: products of sums over halves, quarters, ... of the members.

    All of them are positive.
    """
    total = residuals.new_zeros(residuals.shape[1])
    while len(residuals) > 1:
        half = len(residuals) // 2
        a, b, rest = residuals[:half], residuals[half : 2 * half], residuals[2 * half :]
        total += (a * b).sum(dim=0).sum(dim=-1)
        residuals = torch.cat([a + b, rest])
    return total


def moments(
    logits: Float[Tensor, "members samples classes"], target: Int[Tensor, " samples"]
) -> Moments:
    """Moments of a block of members, in pieces that stay in the cache.

    >>> logits = torch.tensor([[[0.0, 0.0]], [[0.0, 0.0]]])      # two members, both undecided
    >>> decompose(moments(logits, torch.tensor([1])), torch.tensor([1])).bias_sq.item()
    0.5
    """
    return in_pieces(lambda x, y: moments_of(softmax(x), y), logits, target)


def moments_of(
    probs: Float[Tensor, "members samples classes"],
    target: Int[Tensor, " samples"],
    offset: Float[Tensor, "samples classes"] | None = None,
) -> Moments:
    """The same from probabilities, float64; `offset` as for `decompose`."""
    num_members, num_samples, _ = probs.shape
    prob_sum = probs.sum(dim=0)
    centred = centred_squares(probs, prob_sum.argmax(dim=-1))
    count = torch.full((num_samples,), num_members, dtype=torch.int64, device=probs.device)
    residuals = residual(probs, target)
    if offset is not None:
        residuals -= offset
    return Moments(count, prob_sum, centred, pair_products(residuals))


def merge(a: Moments, b: Moments, target: Int[Tensor, " samples"]) -> Moments:
    """Moments of the union of two disjoint sets of members; either may be empty (count 0)."""
    count = a.count + b.count
    prob_sum = a.prob_sum + b.prob_sum
    factor = a.count.double() * b.count / count.clamp(min=1)
    mean_a = a.prob_sum / a.count.clamp(min=1).unsqueeze(-1)
    mean_b = b.prob_sum / b.count.clamp(min=1).unsqueeze(-1)
    between = residual(mean_a - mean_b, prob_sum.argmax(dim=-1)).square().sum(dim=-1)
    across = (residual(a.prob_sum, target) * residual(b.prob_sum, target)).sum(dim=-1)
    return Moments(
        count, prob_sum, a.centred + b.centred + factor * between, a.pairs + b.pairs + across
    )


def add_member(
    state: Moments,
    logits: Float[Tensor, "1 samples classes"],
    target: Int[Tensor, " samples"],
) -> Moments:
    """Moments with one more member: `merge` with its moments, in a fraction of the time."""

    def add(logits: Tensor, target: Tensor, *state: Tensor) -> Moments:
        (probs,), (count, before, centred, pairs) = softmax(logits), state
        prob_sum, n, label = before + probs, count.double(), target.unsqueeze(-1)
        shift = (probs * n.unsqueeze(-1)).sub_(before)
        rest = shift.scatter_(-1, prob_sum.argmax(dim=-1, keepdim=True), 0.0).sum(dim=-1)
        between = shift.square_().sum(dim=-1).addcmul_(rest, rest) / (n * (n + 1)).clamp_(min=1)
        others, rest = before.scatter(-1, label, 0.0), probs.scatter_(-1, label, 0.0).sum(dim=-1)
        across = rest.mul_(others.sum(dim=-1)) + others.mul_(probs).sum(dim=-1)
        return Moments(count + 1, prob_sum, centred + between, pairs + across)

    return in_pieces(add, logits, target, *state)


def empty_moments(num_samples: int, num_classes: int) -> Moments:
    """Moments of the empty set of members, the neutral element of `merge`."""
    zeros = torch.zeros(num_samples, dtype=torch.float64)
    prob_sum = torch.zeros(num_samples, num_classes, dtype=torch.float64)
    return Moments(torch.zeros(num_samples, dtype=torch.int64), prob_sum, zeros, zeros.clone())


def decompose(
    moments: Moments,
    target: Int[Tensor, " samples"],
    offset: Float[Tensor, "samples classes"] | None = None,
) -> Decomposition:
    """Per-sample values of one (merged) set of members; NaN where count is too small.

    Args:
        moments: of all members, for the same labels.
        target: class ids.
        offset: q - e_y of soft labels q, whose most probable class is y; None for class ids.
    """
    count, noise = moments.count.double(), 0.0
    total = residual(moments.prob_sum, target)
    if offset is not None:
        total -= count.unsqueeze(-1) * offset
        noise = label_noise(offset, target)
    bias_sq = total.square().sum(dim=-1) / count.square()
    variance = moments.centred / count
    pairs_of_members = torch.where(count > 1, count * (count - 1) / 2, torch.nan)
    return Decomposition(
        bias_sq=bias_sq,
        variance=variance,
        risk=noise + bias_sq + variance,
        bias_sq_unbiased=moments.pairs / pairs_of_members,
        variance_unbiased=torch.where(count > 1, moments.centred / (count - 1), torch.nan),
        correct=moments.prob_sum.argmax(dim=-1) == target,
        count=moments.count,
    )
