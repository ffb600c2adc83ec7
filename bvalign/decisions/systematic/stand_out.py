"""Which groups of samples have another error rate than the rest: a test, for many groups.

If a group were n samples drawn at random from all N, whose error rates x_i have mean μ, the mean
over it would have the moments of a draw without replacement, exactly:

    variance       s²/n (1 - n/N)                              s² = sum (x_i - μ)² / (N-1)
    third moment   m₃ (N-n)(N-2n) / (n² (N-1)(N-2))           m₃ = mean (x_i - μ)³

Its tails are those of a Pearson type III distribution with these moments, as is usual for
permutation tests (Mielke & Berry 2007, chapter 2): a group of few samples with rare errors has a
long tail, which a normal one lacks. The p-value is twice the smaller tail. As a normal quantile z
it is then shrunk by what a draw of single samples does not know,

    t = z sqrt(V₀ / (V₀ D + E))            V₀ = s² (1/n + 1/(N-n)), of group minus rest

where E is what the draw of the members adds to the variance of that difference (jackknife, see
`spreads.py`), and D >= 1 what clusters do: with ρ the correlation of two samples of one cluster,

    V₀ D = s² ((1-ρ) (1/n + 1/(N-n)) + ρ sum_c (n_gc/n - n_rc/(N-n))²)

for n_gc samples of cluster c in the group and n_rc in the rest. The p-value is that of t with
Satterthwaite's degrees of freedom. Those of all groups of all columns are adjusted together by the
method of Benjamini & Hochberg (1995): of groups with an adjusted p-value of at most q, a share of
at most q is there by chance on average; where all are alike, any is named with probability q at
most.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import gammainc, gammaincc, ndtr, ndtri, stdtr

from bvalign.decisions.systematic.spreads import (
    LeftOut,
    Samples,
    jackknife,
    pairs_with_clusters,
)

FALSE_DISCOVERIES = 0.05
"""q: of the groups that stand out, the share that is there by chance, on average."""

LEAST_SAMPLES = 5
"""Smaller groups are not tested."""

SYMMETRIC = 1e-6
"""Skewness below which the distribution is the normal one, to rounding."""

SMALLEST_P = 1e-300


def against_rest(
    samples: Samples, values: Float[np.ndarray, " samples"], left_out: LeftOut | None
) -> Float[np.ndarray, " sets"]:
    """P-value of each group against all other samples; NaN where either is too small.

    Args:
        samples: the groups.
        values: of the statistic.
        left_out: of the statistic alone; None where the members at hand are all that matters.
    """
    number, sizes = len(values), samples.sizes.astype(float)
    tested = (sizes >= LEAST_SAMPLES) & (number - sizes >= LEAST_SAMPLES)
    centred = values - values.mean()
    square = float(centred @ centred) / max(number - 1, 1)
    n = np.where(tested, sizes, number / 2)
    if square <= 0 or not tested.any():
        return np.where(tested, 1.0, np.nan)
    third = float(np.mean(centred**3)) * (number - n) * (number - 2 * n)
    third /= n**2 * (number - 1) * (number - 2)
    variance = square / n * (1 - n / number)
    p = _two_sided(samples.sums(centred) / n / np.sqrt(variance), third / variance**1.5)
    z = ndtri(np.maximum(p, SMALLEST_P) / 2)
    own = square * (1 / n + 1 / (number - n))
    total = own * _of_clusters(samples, centred, n)
    units = number if samples.clusters is None else int(samples.clusters.max()) + 1
    uncertain = total**2 / max(units - 1, 1)
    if left_out is not None:
        members, extra = _of_members(samples, left_out)
        total = total + extra
        uncertain = uncertain + extra * members / (left_out.values.shape[1] - 1)
    freedom = np.maximum(total**2 / uncertain, 1)
    return np.where(tested, np.minimum(2 * stdtr(freedom, z * np.sqrt(own / total)), 1), np.nan)


def adjusted(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Benjamini and Hochberg's p-values; NaN stay, and do not count.

    >>> adjusted(np.array([0.01, 0.04, np.nan, 0.03])).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    result = np.full(len(p), np.nan)
    order = np.argsort(p)[: int(np.isfinite(p).sum())]  # NaN come last
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    result[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return result


def _two_sided(
    z: Float[np.ndarray, " sets"], skewness: Float[np.ndarray, " sets"]
) -> Float[np.ndarray, " sets"]:
    """Twice the smaller tail of a standardised Pearson type III distribution.

    With skewness γ, k + z sqrt(k) is a gamma variable of shape k = 4/γ²; below zero it is mirrored.
    """
    mirrored, size = np.where(skewness < 0, -z, z), np.abs(skewness)
    plain = size < SYMMETRIC
    k = 4 / np.where(plain, 1, size) ** 2
    at = np.maximum(k + mirrored * np.sqrt(k), 0)
    tail = np.minimum(gammainc(k, at), gammaincc(k, at))
    return np.minimum(2 * np.where(plain, ndtr(-np.abs(z)), tail), 1)


def _of_clusters(
    samples: Samples, centred: Float[np.ndarray, " samples"], n: Float[np.ndarray, " sets"]
) -> Float[np.ndarray, " sets"]:
    """D: by what factor clusters raise the variance of group minus rest."""
    if samples.clusters is None:
        return np.ones_like(n)
    totals, of_cluster = np.bincount(samples.clusters, centred), np.bincount(samples.clusters)
    pairs = float((of_cluster * (of_cluster - 1)).sum())
    alike = float(totals @ totals - centred @ centred) / pairs if pairs else 0.0
    rho = min(max(alike / float(np.mean(centred**2)), 0.0), 1.0)
    pair, group, cluster = pairs_with_clusters(samples)
    here, together = np.bincount(pair).astype(float), 1 / n + 1 / (len(centred) - n)
    both, own = (np.bincount(group, w, len(n)) for w in (here * of_cluster[cluster], here**2))
    rest = len(centred) - n
    shared = together**2 * own - 2 * together / rest * both + (of_cluster @ of_cluster) / rest**2
    return np.maximum((1 - rho) + rho * shared / together, 1)


def _of_members(
    samples: Samples, left_out: LeftOut
) -> tuple[Float[np.ndarray, " sets"], Float[np.ndarray, " sets"]]:
    """V_m of group minus rest, and E, the part of it that samples do not share."""
    here, values = samples.at(left_out.positions), left_out.values[0]
    n, number = np.maximum(here.sizes, 1).astype(float), values.shape[1]
    rest = np.maximum(number - n, 1)
    without = here.sums(values)
    difference = without / n - (values.sum(axis=1, keepdims=True) - without) / rest
    of_sample = jackknife(left_out.values)[0]
    inside = here.sums(of_sample)
    both = inside / n**2 + (of_sample.sum() - inside) / rest**2
    members = jackknife(difference[None])[0]
    extra = np.maximum(members - both, 0)
    return extra + both * number / len(samples.numbers), extra
