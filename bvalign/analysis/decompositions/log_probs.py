"""Log-probabilities and divergences between them, accurate where p is almost one, float64."""

from jaxtyping import Float, Int
from torch import Tensor, inf, where


def log_softmax(logits: Float[Tensor, "... classes"]) -> Float[Tensor, "... classes"]:
    """Log-probabilities, accurate to rounding even where p is almost one.

    torch.log_softmax gives 0 instead of -1e-26 at a margin of 60: it adds the 1 of the largest
    class before taking the logarithm.
    """
    largest, at = logits.max(dim=-1, keepdim=True)
    shifted = logits.double() - largest.double()
    return shifted.sub_(_log_total(shifted, at))


def log_sum_exp(values: Float[Tensor, "... classes"]) -> Float[Tensor, "..."]:
    """Logarithm of the sum of exponentials, with all its digits where the largest value is zero."""
    largest, at = values.max(dim=-1, keepdim=True)
    return (largest + _log_total(values - largest, at)).squeeze(-1)


def kl_divergence(
    log_p: Float[Tensor, "samples classes"], log_q: Float[Tensor, "*members samples classes"]
) -> Float[Tensor, "*members samples"]:
    """KL(p ‖ q) as sum_k p (e^t - 1 - t), t = log q - log p, in nats: no term is negative.

    A class that both exclude adds nothing; NaN where p alone excludes one.
    """
    excluded = (log_p == -inf) & (log_q == -inf)
    p, t = log_p.exp(), (log_q - log_p).masked_fill_(excluded, 0.0)
    large = log_q.exp() - p - p * t  # e^t may overflow where p e^t does not
    return where(t.abs() < 1, p * (t.expm1() - t), large).sum(dim=-1)


def _log_total(
    shifted: Float[Tensor, "... classes"], at: Int[Tensor, "... 1"]
) -> Float[Tensor, "... 1"]:
    """Log of the sum of exponentials whose largest, `at`, is 1: log1p leaves it out of the sum."""
    return shifted.exp().scatter_(-1, at, 0.0).sum(dim=-1, keepdim=True).log1p_()
