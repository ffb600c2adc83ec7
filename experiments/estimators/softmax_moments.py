"""Expectations of softmax probabilities with independent logits, by one-dimensional quadrature.

With z_k = l_k + scale_k x_k, A_k = e^(z_k) and phi_k(u) = E e^(-u A_k),

    E p_k         = Int E[A_k e^(-u A_k)]                       prod_(j != k) phi_j du
    E p_k²        = Int u E[A_k² e^(-u A_k)]                    prod_(j != k) phi_j du
    E p_k p_l     = Int u E[A_k e^(-u A_k)] E[A_l e^(-u A_l)]   prod_(j != k, l) phi_j du
    E log sum A   = Int (e^(-u) - prod_j phi_j) / u du

because 1 / S = Int e^(-uS) du. Trapezoid rule in log u. All terms of the first three are positive,
so probabilities of 1e-30 have as many right digits as others.
"""

from typing import NamedTuple

import numpy as np
from distributions import nodes


class Moments(NamedTuple):
    """Expectations for kinds of classes: those of a kind are alike."""

    mean: np.ndarray  # E p_k (kinds)
    square: np.ndarray  # E p_k² (kinds)
    pair: np.ndarray  # E p_k p_l of two different classes (kinds, kinds)
    log_sum: float  # E log sum of e^z
    logit: np.ndarray  # E z_k (kinds)


def softmax_moments(
    location: np.ndarray,
    spread: np.ndarray,
    counts: np.ndarray,
    distribution: str,
    *,
    step: float = 1 / 8,
    refinement: float = 1.0,
) -> Moments:
    """Expectations of the probabilities of one member.

    Args:
        location, spread: l_k and scale_k of each kind of class, nats (kinds).
        counts: number of classes of each kind (kinds).
        distribution: of x, in `distributions.DRAW`.
        step: of log u.
        refinement: of the nodes of x.
    """
    x, weights = nodes(distribution, refinement)
    reach = 40 + 2 * float(spread.max()) ** 2 if distribution in ("gaussian", "uniform") else 60.0
    t = np.arange(-reach - location.max(), reach - location.min(), step)
    phi, first, second = np.array(
        [_transforms(t + c, d * x, weights) for c, d in zip(location, spread, strict=True)]
    ).transpose(1, 0, 2)

    def rest(*without: int) -> np.ndarray:
        """Product of phi over all classes but one of each of these kinds."""
        powers = counts - np.bincount(without, minlength=len(counts))
        return np.prod(phi ** np.maximum(powers, 0)[:, None], axis=0)

    kinds = range(len(counts))
    mean = [(first[k] * rest(k)).sum() for k in kinds]
    square = [(second[k] * rest(k)).sum() for k in kinds]
    pair = [[(first[k] * first[j] * rest(k, j)).sum() for j in kinds] for k in kinds]
    log_sum = (np.exp(-np.exp(np.minimum(t, 50))) - rest()).sum()
    return Moments(
        mean=step * np.array(mean),
        square=step * np.array(square),
        pair=step * np.array(pair),
        log_sum=step * float(log_sum),
        logit=location + spread * float(weights @ x),
    )


def _transforms(t: np.ndarray, noise: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """E e^-a, E a e^-a and E a² e^-a for a = e^(t + noise)."""
    a = np.exp(np.minimum(t[:, None] + noise, 6.7))  # e^-800 is zero
    decay = np.exp(-a)
    result = [decay @ weights]
    for _ in range(2):
        decay *= a
        result.append(decay @ weights)
    return result
