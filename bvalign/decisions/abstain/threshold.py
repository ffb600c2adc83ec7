"""A threshold below which at most a wanted share of the predictions is wrong, with a guarantee.

Learn then test (Angelopoulos et al. 2021). A threshold t is tested on samples that had no part in
the choice of the doubt nor of the order of the tests: of the n samples with a doubt of at most t, k
are wrong. If the error rate among such samples were above α, so few would have a probability of at
most

    p = P(Binomial(n, α) <= k)

given n, as each accepted sample is then wrong with that probability or more. Thresholds are tested
in a fixed order, each larger than the one before, until one has p > δ, and the last one before it
is taken. The first true hypothesis in the order is rejected with a probability of at most δ, and no
other can be rejected unless it is: so with a probability of at least 1 - δ, over the draw of the
tested samples, the error rate among accepted samples is at most α (fixed-sequence testing, Theorem
1 and section 2.2 there; Geifman & El-Yaniv 2017 test the same p by bisection with δ divided by the
number of tests). The order begins where the samples that chose the doubt have the smallest p, and
the thresholds are the doubts that accept 1%, 2%, ... of those.

In clusters of dependent samples the binomial is wrong. Then W_c = sum over the accepted samples of
cluster c of (wrong - α) has a mean of at least 0 if the error rate is above α, and is at least
-α s, at most (1 - α) s with s samples in the largest cluster, so that for 0 <= η < 1 / ((1 - α) s)
the product of all 1 - η W_c has a mean of at most 1, and p = 1 / product by Markov's inequality
(betting against the hypothesis: Waudby-Smith & Ramdas 2024). The η of each threshold is the one
that makes most of the clusters that chose the doubt.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from scipy.special import bdtr
from torch import Tensor

PERCENT = torch.arange(1, 101).double() / 100
BETS = 0.99 * torch.arange(1, 21).double() / 20
"""η, in parts of the largest."""


class Samples(NamedTuple):
    """Doubts and errors of some samples."""

    doubt: Float[Tensor, " samples"]
    wrong: Float[Tensor, " samples"]  # 1 where the prediction is wrong, else 0
    clusters: Int[Tensor, " samples"] | None = None  # None if samples are independent


class Threshold(NamedTuple):
    """The threshold that was found, and the samples that tested it."""

    threshold: float | None  # None where none reaches the wanted error; inf accepts everything
    samples: int
    accepted: int  # at most at the threshold
    wrong: int  # of the accepted
    p_value: float  # of the threshold; of the first one where none was found


def find_threshold(
    chosen_on: Samples, tested_on: Samples, max_error: float, confidence: float
) -> Threshold:
    """Finds the largest threshold that keeps the error at most as wanted.

    Args:
        chosen_on: samples that chose the doubt.
        tested_on: other ones.
        max_error: α, between 0 and 1.
        confidence: 1 - δ, between 0 and 1.
    """
    thresholds = torch.quantile(chosen_on.doubt, PERCENT, interpolation="higher").unique()
    thresholds[-1] = math.inf
    if tested_on.clusters is None:
        first = int(_binomial(*_counts(chosen_on, thresholds), max_error).argmin())
        p_values = _binomial(*_counts(tested_on, thresholds[first:]), max_error).tolist()
    else:
        first, p_values = _of_clusters(chosen_on, tested_on, thresholds, max_error)
    accepted, wrong = _counts(tested_on, thresholds[first:])
    found = Threshold(None, len(tested_on.doubt), 0, 0, 1.0)
    for at, p in enumerate(p_values):
        if p > 1 - confidence:
            return found if at else found._replace(p_value=p)
        counts = {"accepted": int(accepted[at]), "wrong": int(wrong[at])}
        found = found._replace(threshold=float(thresholds[first + at]), p_value=p, **counts)
    return found


def _counts(
    samples: Samples, thresholds: Float[Tensor, " thresholds"]
) -> tuple[Float[Tensor, " thresholds"], Float[Tensor, " thresholds"]]:
    """How many samples each threshold accepts, and how many of those are wrong."""
    interval = torch.searchsorted(thresholds, samples.doubt)  # the first that accepts it
    none = torch.zeros_like(thresholds)
    return tuple(
        none.index_add(0, interval, values).cumsum(dim=0)
        for values in (torch.ones_like(samples.wrong), samples.wrong)
    )


def _binomial(
    accepted: Float[Tensor, " thresholds"], wrong: Float[Tensor, " thresholds"], max_error: float
) -> Float[Tensor, " thresholds"]:
    """P of each threshold, for independent samples."""
    p = torch.from_numpy(bdtr(wrong.numpy(), accepted.long().numpy(), max_error))
    return torch.where(accepted > 0, p, 1.0)


def _of_clusters(
    chosen_on: Samples, tested_on: Samples, thresholds: Tensor, max_error: float
) -> tuple[int, Iterator[float]]:
    """Position of the first threshold to test, and p from there on, for samples in clusters."""
    largest = max(int(part.clusters.bincount().max()) for part in (chosen_on, tested_on))
    bets = BETS / ((1 - max_error) * largest)

    def wealth(samples: Samples, threshold: Tensor, bets: Tensor) -> Float[Tensor, " bets"]:
        excess = torch.where(samples.doubt <= threshold, samples.wrong - max_error, 0.0)
        of_cluster = excess.new_zeros(int(samples.clusters.max()) + 1)
        of_cluster.index_add_(0, samples.clusters, excess)
        return torch.log1p(-bets.unsqueeze(1) * of_cluster).sum(dim=1)

    before = torch.stack([wealth(chosen_on, threshold, bets) for threshold in thresholds])
    best, bet = before.max(dim=1)
    first = int(best.argmax())
    tests = zip(thresholds[first:], bets[bet[first:], None], strict=True)
    return first, (min(1.0, math.exp(-float(wealth(tested_on, *test)))) for test in tests)
