"""Expected squared bias and variance of a collapsed network with noisy logits.

After neural collapse the logits of a sample of class y are s w_y + v: w are the K vertices of a
simplex and v is noise that differs between members (Chen et al. 2024, section 5). Up to a multiple
of (1, ..., 1), which softmax ignores, that is s' e_y + v with s' = s sqrt(K/(K-1)). With n = K - 1,
a = 1 - p_y and wrong classes p_j that are exchangeable,
    bias_sq  = K/n (E a)²           variance = K/n Var a + E sum_{j != y} (p_j - a/n)²
The scalar versions, (E a)² and Var a, use the coordinate of the label only, as the paper does: for
two classes their log bias_sq / log variance rises from 0.5579 at s' = 0 towards 2.

These are values for infinitely many members. As s' grows, Gaussian noise gives a constant
variance/bias_sq (slope one in a log-log plot), unit Gumbel noise slope 1/2:
    gaussian   bias_sq ~ K n e^(2 sigma²) c²,  variance/bias_sq -> [2 e^(2 sigma²) + (K-2)
               e^(sigma²) - K] / K,  where c = e^(-s')
    gumbel     bias_sq ~ K n c² (s' - H_n)²,  variance ~ n (1 + 2/K) c,  H_n harmonic number
and Gumbel noise of scale sigma slope one up to sigma = 1/2, 1/(2 sigma) up to 1, then 1/2.
Yet M members of the Gumbel model also show slope one, because both plug-in values scale with c²
once c < 1/M. Compare data with `simulate_finite_members`.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from bvalign.analysis.collapse.integrals import Averages, averages
from bvalign.analysis.collapse.noise_distributions import check_distribution
from bvalign.analysis.decompositions import Decomposition, decompose, in_pieces, moments

Margins = Num[Tensor, "*points"] | Num[np.ndarray, "*points"] | float | int

_LARGEST_MARGIN = 300.0  # squares of exp(-s') underflow soon after


class NoiseModel(NamedTuple):
    """Expected squared bias and variance, squared probability, float64; one for each s'."""

    bias_sq: Float[Tensor, "*points"]
    variance: Float[Tensor, "*points"]
    bias_sq_scalar: Float[Tensor, "*points"]  # at the coordinate of the label only
    variance_scalar: Float[Tensor, "*points"]


class KLNoiseModel(NamedTuple):
    """Expected decomposition of cross-entropy, nats, float64: kl_risk = kl_bias + kl_variance."""

    kl_bias: Float[Tensor, "*points"]  # -log p_y of the normalised geometric mean
    kl_variance: Float[Tensor, "*points"]
    kl_risk: Float[Tensor, "*points"]


def noise_model(
    s_prime: Margins, num_classes: int, noise: str = "gumbel", *, sigma: float = 1.0
) -> NoiseModel:
    """Squared bias and variance of softmax(s' e_y + v), v iid over classes and members.

    A range of s' gives the predicted curve: `noise_model(torch.linspace(0, 20, 81), 10)`. Against
    mpmath, relative errors are below 1e-14 for sigma >= 0.02, and about 2e-16 / sigma below. On
    one core of a CPU, one s' takes 0.2 ms with unit Gumbel noise or among others that are multiples
    of `integrals.STEP`; otherwise 2 to 30 ms for sigma <= 1, growing like its fourth power.

    Args:
        s_prime: margin s' of the noiseless logits, in nats, |s'| <= 300; below 0 the label loses.
        num_classes: K >= 2.
        noise: "gumbel" (v = log Exp(1), the sign with a closed form), "gumbel_max" (the other
            sign), "gaussian" or "logistic".
        sigma: scale of the noise, in nats; the standard deviation of Gaussian noise.

    Returns:
        float64 tensors of the shape of s_prime; 0-dimensional for a number.

    Raises:
        ValueError: s_prime or num_classes is out of range, noise is unknown, or sigma not positive.

    >>> model = noise_model(0.0, 2)                 # a is uniform on (0, 1)
    >>> f"{model.bias_sq_scalar:.6f} {model.variance_scalar:.6f}"         # 1/4 and 1/12
    '0.250000 0.083333'
    """
    means = _averages(s_prime, num_classes, noise, sigma)
    n = num_classes - 1
    norm = num_classes / n
    bias_sq = means.wrong.square()
    variance = norm * means.variance + (n - 1) / n * means.within
    return NoiseModel(norm * bias_sq, variance, bias_sq, means.variance)


def bias_sq_wrong(
    s_prime: Margins, num_classes: int, noise: str = "gumbel", *, sigma: float = 1.0
) -> Float[Tensor, "*points"]:
    """Squared bias when the logits collapse onto a class other than the label, float64.

    Probabilities, and hence the variance, are those of `noise_model`; only the label differs. The
    value tends to 2 as s' grows: the vertical tail of misclassified samples.

    Arguments and errors as for `noise_model`.

    >>> round(bias_sq_wrong(0.0, 4).item(), 12)     # nothing is learned, p̄ = 1/4: 1 - 1/4
    0.75
    """
    means = _averages(s_prime, num_classes, noise, sigma)
    others = num_classes - 2
    each = means.wrong / (num_classes - 1)  # mean probability of the label, and of every other
    return means.right.square() + (means.right + others * each).square() + others * each.square()


def kl_noise_model(
    s_prime: Margins, num_classes: int, noise: str = "gumbel", *, sigma: float = 1.0
) -> KLNoiseModel:
    """Bias, variance and risk of cross-entropy, in nats; kl_bias does not depend on the noise.

    kl_variance is a difference: its relative error is about 1e-15 / sigma² for small sigma.

    Arguments and errors as for `noise_model`.

    >>> round(kl_noise_model(0.0, 2).kl_risk.item(), 12)      # E -log p_y, p_y uniform
    1.0
    """
    means = _averages(s_prime, num_classes, noise, sigma)
    margin = torch.as_tensor(s_prime, dtype=torch.float64)
    kl_bias = torch.log1p((num_classes - 1) * (-margin).exp())
    return KLNoiseModel(kl_bias, means.kl_risk - kl_bias, means.kl_risk)


def simulate_finite_members(
    s_prime: Num[Tensor, " samples"], logit_noise: Float[Tensor, "members samples classes"]
) -> Decomposition:
    """Plug-in and unbiased values of M members whose logits are s' e_y + v, one s' per sample.

    Works in pieces that stay in the cache.

    Args:
        s_prime: margin s' of each sample, in nats.
        logit_noise: v, such as `draw_noise((M, N, K), "gumbel", generator=generator)`.

    Raises:
        ValueError: s_prime and logit_noise have different numbers of samples.

    >>> decomposition = simulate_finite_members(torch.zeros(1), torch.zeros(3, 1, 2))
    >>> decomposition.bias_sq.item(), decomposition.variance.item()
    (0.5, 0.0)
    """
    if logit_noise.shape[1:2] != s_prime.shape:
        raise ValueError(
            "logit_noise must have axes (members, samples, classes) and s_prime (samples), got "
            f"{tuple(logit_noise.shape)} and {tuple(s_prime.shape)}"
        )

    def simulate(noise: Tensor, margin: Tensor) -> Decomposition:
        logits = noise.to(torch.float64, copy=True)
        logits[..., 0] += margin
        target = torch.zeros(len(margin), dtype=torch.int64, device=logits.device)
        return decompose(moments(logits, target), target)

    return in_pieces(simulate, logit_noise, s_prime)


def _averages(s_prime: Margins, num_classes: int, noise: str, sigma: float) -> Averages:
    """`averages` for each s', as tensors of the shape of s_prime."""
    check_distribution(noise, sigma)
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}")
    margin = torch.as_tensor(s_prime, dtype=torch.float64)
    outside = margin[~(margin.abs() <= _LARGEST_MARGIN)]
    if len(outside):
        raise ValueError(f"s_prime must be within ±{_LARGEST_MARGIN:.0f} nats, got {outside[0]}")
    found = averages(margin.flatten().cpu(), num_classes, noise, sigma)
    return Averages(*(field.reshape(margin.shape).to(margin.device) for field in found))
