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
the products of 1 - η W_c have a mean of at most 1, and so has their average over several η; by
Markov's inequality p = 1 / average (Waudby-Smith & Ramdas 2024).
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from scipy.special import bdtr
from torch import Tensor

PERCENT = torch.arange(1, 101).double() / 100
BETS = 0.5 ** torch.arange(10).double()
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
    before, _, _ = _of_thresholds(chosen_on._replace(clusters=None), thresholds, max_error)
    thresholds = thresholds[int(before.argmin()) :]
    p, accepted, wrong = _of_thresholds(tested_on, thresholds, max_error)
    passed = int((p <= 1 - confidence).long().cumprod(dim=0).sum())
    number = len(tested_on.doubt)
    if not passed:
        return Threshold(None, number, 0, 0, float(p[0]))
    at = passed - 1
    counts = (int(values[at]) for values in (accepted, wrong))
    return Threshold(float(thresholds[at]), number, *counts, float(p[at]))


def _of_thresholds(
    samples: Samples, thresholds: Float[Tensor, " thresholds"], max_error: float
) -> tuple[Tensor, Tensor, Tensor]:
    """P of each threshold, and how many samples it accepts and how many of those are wrong.

    The hypothesis is that more than `max_error` of the accepted ones are wrong.
    """
    interval = torch.searchsorted(thresholds, samples.doubt)  # the first that accepts it
    none = torch.zeros_like(thresholds)
    accepted = none.index_add(0, interval, torch.ones_like(samples.wrong)).cumsum(dim=0)
    wrong = none.index_add(0, interval, samples.wrong).cumsum(dim=0)
    if samples.clusters is None:
        p = torch.from_numpy(bdtr(wrong.numpy(), accepted.long().numpy(), max_error))
        return torch.where(accepted > 0, p, 1.0), accepted, wrong
    p = [_of_clusters(samples, interval <= at, max_error) for at in range(len(thresholds))]
    return torch.tensor(p), accepted, wrong


def _of_clusters(samples: Samples, accepted: Tensor, max_error: float) -> float:
    _, place, sizes = samples.clusters.unique(return_inverse=True, return_counts=True)
    excess = torch.where(accepted, samples.wrong - max_error, 0.0)
    of_cluster = torch.zeros(len(sizes)).double().index_add(0, place, excess)
    bets = BETS * 0.99 / ((1 - max_error) * int(sizes.max()))
    logs = torch.log1p(-bets.unsqueeze(1) * of_cluster).sum(dim=1)
    return min(1.0, math.exp(math.log(len(bets)) - float(logs.logsumexp(dim=0))))
