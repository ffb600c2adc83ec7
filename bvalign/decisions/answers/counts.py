"""How often each option was chosen, and what follows for k of the answers.

Symbols, for one question with M answers: n_k of them choose option k, y is the right one, c = n_y.

    pass_at_k      1 - C(M - c, k) / C(M, k): that one of k answers or more is right, unbiased for
                   k answers drawn anew (Chen et al. 2021, equation 1)
    majority_of_k  that the option chosen most often among k of the M answers, drawn without
                   replacement, is right; t options that tie with it share the vote. Unbiased, too

With j of the k answers right, the others may choose no option more than j times. Their ways are the
coefficient of x^(k-j) in prod_(i != y) (sum_(l<j) C(n_i, l) x^l + s C(n_i, j) x^j), integrated over
s from 0 to 1: t options that tie give s^t, whose integral is 1/(1 + t).
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import comb, gammaln
from torch import Tensor

Numbers = Float[np.ndarray, " patterns"]


class Patterns(NamedTuple):
    """The different counts of answers among all questions and sets of answers."""

    right: Int[np.ndarray, " patterns"]  # c
    others: Int[np.ndarray, "patterns options"]  # n_k of the other options, the largest first
    place: Int[Tensor, "sets samples"]  # of each question and set among them

    @property
    def number(self) -> Int[np.ndarray, " patterns"]:
        """Answers in all."""
        return self.right + self.others.sum(axis=1)


def patterns_of(
    counts: Int[Tensor, "sets samples options"], target: Int[Tensor, " samples"]
) -> Patterns:
    """Finds the patterns, so that each is looked at once.

    Args:
        counts: how often each option was chosen.
        target: the right option.
    """
    at = target.expand(counts.shape[:2]).unsqueeze(-1)
    others = counts.scatter(-1, at, 0).sort(dim=-1, descending=True).values
    most = max(1, int((others > 0).sum(dim=-1).max()))
    rows = torch.cat([counts.gather(-1, at), others[..., :most]], dim=-1)
    patterns, place = rows.flatten(0, 1).unique(dim=0, return_inverse=True)
    found = patterns.numpy()
    return Patterns(found[:, 0], found[:, 1:], place.reshape(counts.shape[:2]))


def pass_at_k(patterns: Patterns, k: int) -> Numbers:
    """Probability that one of k answers or more is right; NaN where there are fewer.

    >>> counts = torch.tensor([[[0, 4], [1, 3], [2, 2]]])
    >>> pass_at_k(patterns_of(counts, torch.tensor([0, 0, 0])), 2).round(4).tolist()
    [0.0, 0.5, 0.8333]
    """
    number, wrong = patterns.number, patterns.number - patterns.right
    few = np.maximum(wrong - k, 0)
    left = np.maximum(number - k, 0)
    logs = gammaln(wrong + 1) - gammaln(few + 1) - gammaln(number + 1) + gammaln(left + 1)
    return np.where(number < k, np.nan, np.where(wrong < k, 1.0, -np.expm1(logs)))


def majority_of_k(patterns: Patterns, k: int) -> Numbers:
    """Probability that most of k answers are right; NaN where there are fewer.

    >>> found = patterns_of(torch.tensor([[[2, 1, 1]]]), torch.tensor([0]))
    >>> majority_of_k(found, 3).round(4).tolist()  # 2 of 4 sets have both, 2 a tie of three
    [0.6667]
    """
    wrong, total = patterns.number - patterns.right, 0.0
    for j in range(1, k + 1):
        ways = comb(wrong, k - j) if k - j < j else _at_most(patterns.others, k - j, j)
        total += comb(patterns.right, j) * ways
    return np.where(patterns.number < k, np.nan, total) / np.maximum(comb(patterns.number, k), 1)


def variance_of(patterns: Patterns) -> Numbers:
    """Unbiased variance of the answers as one-hot vectors: the fraction of pairs that differ."""
    number = patterns.number
    same = (patterns.others * (patterns.others - 1)).sum(axis=1)
    same += patterns.right * (patterns.right - 1)
    pairs = np.maximum(number * (number - 1), 1)
    return np.where(number > 1, (pairs - same) / pairs, np.nan)


def risk_of(patterns: Patterns) -> Numbers:
    """Mean squared distance of the answers to the right one: twice the fraction that is wrong."""
    return 2 - 2 * patterns.right / patterns.number


def _at_most(others: Int[np.ndarray, "patterns options"], rest: int, j: int) -> Numbers:
    """Ways to draw `rest` answers with no option more than j times; t that reach it count 1/(1+t).

    Gauss and Legendre's integral over s is exact for polynomials of degree 2 nodes - 1.
    """
    nodes, weights = np.polynomial.legendre.leggauss(rest // j // 2 + 1)
    s, weights = (nodes[:, None] + 1) / 2, weights / 2
    ways = np.zeros((len(others), len(s), rest + 1))
    ways[:, :, 0] = 1
    for counts in others.T:
        new = np.zeros_like(ways)
        for drawn in range(j + 1):
            scale = comb(counts, drawn)[:, None, None] * (s if drawn == j else 1.0)
            new[:, :, drawn:] += scale * ways[:, :, : rest + 1 - drawn]
        ways = new
    return ways[:, :, rest] @ weights
