"""Numbers of repeated answers, each with its interval over questions and members."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from bvalign.analysis.collect import one_thread_each
from bvalign.analysis.decompositions import Column, Unit, vote_counts
from bvalign.analysis.groups import MemberPart, left_out_sums, member_groups
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.summary import Analysis
from bvalign.decisions.answers.counts import (
    Numbers,
    Patterns,
    majority_of_k,
    pass_at_k,
    patterns_of,
    risk_of,
    variance_of,
)
from bvalign.decisions.answers.noise import noise_of
from bvalign.decisions.answers.result import RepeatedAnswers

STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)
"""Values of k of pass@k, with the number of answers and below it."""

MOST_VOTES = 21
"""Largest k of the majority."""

LEAST_GROUPS = 3
EVERY = "over questions alone: it takes every answer"


def repeated_answers(analysis: Analysis) -> RepeatedAnswers:
    """Reads the members as repeated answers to the same questions.

    Args:
        analysis: with labels; the answer of a member is its most probable option. At most 2^22
            logits are used, the accuracy is that of all questions.
    """
    _, logits, target, clusters = analysis.kept
    size = analysis.num_samples, analysis.num_members
    if analysis.soft_labels:
        reason = "labels are soft, and an answer is right or wrong about one option"
        return RepeatedAnswers(*size, len(target), reason=reason)
    accuracy, error = analysis.mean_member_accuracy, analysis.table.zero_one.error_rate
    within = float((error * (1 - error)).mean()) * size[1] / max(size[1] - 1, 1)
    noise = None
    if accuracy.variances is not None:
        noise = noise_of(accuracy.variances, within, *size)
    with one_thread_each():
        patterns = _patterns(logits.argmax(dim=-1), target, logits.shape[2])

        def curve(of: Callable[[Patterns, int], Numbers], ks: list[int]) -> dict[int, Estimate]:
            return {k: _mean(patterns, of(patterns, k), clusters) for k in ks}

        return RepeatedAnswers(
            *size,
            len(target),
            accuracy,
            noise,
            curve(pass_at_k, [*(k for k in STEPS if k < size[1]), size[1]]),
            curve(majority_of_k, [*range(1, min(size[1], MOST_VOTES) + 1, 2)]),
            None if size[1] == 1 else _incoherence(patterns, clusters),
        )


def _patterns(
    votes: Int[Tensor, "members samples"], target: Int[Tensor, " samples"], options: int
) -> Patterns:
    """Of all answers, and of those without each group of members."""
    counts, groups = vote_counts(votes, options), member_groups(len(votes)).members
    sets = [counts]
    if len(groups) >= LEAST_GROUPS:
        sets += [counts - vote_counts(votes[list(group)], options) for group in groups]
    return patterns_of(torch.stack(sets), target)


def _mean(
    patterns: Patterns,
    numbers: Numbers,
    clusters: Int[Tensor, " samples"] | None,
) -> Estimate:
    """Mean over questions of a number of their pattern."""
    values, left = torch.from_numpy(numbers)[patterns.place].split([1, len(patterns.place) - 1])
    every = bool(left.isnan().any())
    sums = left_out_sums((left[:0] if every else left,))
    part = MemberPart(("mean",), sums, left.shape[1], clusters)
    found = part.mean("mean", Column(values[0], Unit("fraction", kind="proportion")))
    return found._replace(reason=EVERY) if every else found


def _incoherence(patterns: Patterns, clusters: Int[Tensor, " samples"] | None) -> Estimate:
    """Mean variance / mean risk of the answers as one-hot vectors, unbiased.

    At most one, as squared bias is made of products of numbers that are not negative. The interval
    is that of the mean of ratio + (variance - ratio risk) / mean risk, whose mean is the ratio.
    """
    variance, risk = variance_of(patterns), risk_of(patterns)
    first = patterns.place[0].numpy()
    mean = float(np.mean(risk[first]))
    if not mean:
        return Estimate(None, reason="all answers are right")
    ratio = float(np.mean(variance[first])) / mean
    return _mean(patterns, ratio + (variance - ratio * risk) / mean, clusters)
