"""Torchmetrics classes that decompose an ensemble's risk per sample, one for each loss."""

from typing import NamedTuple

import torch
from torch import Tensor

from bvalign.analysis.decompositions.log_statistics import LogMoments, log_moments, merge_logs
from bvalign.analysis.decompositions.member_metric import MemberMetric
from bvalign.analysis.decompositions.other_losses import (
    CrossEntropy,
    ZeroOne,
    decompose_logs,
    vote_counts,
    zero_one,
)
from bvalign.analysis.decompositions.squared_loss import (
    Decomposition,
    Moments,
    add_member,
    decompose,
    empty_moments,
    merge,
    moments,
)


class Votes(NamedTuple):
    """Counts of members seen, and of votes for each class."""

    count: Tensor  # int64 (samples)
    votes: Tensor  # int64 (samples, classes)


class BiasVariance(MemberMetric):
    """Squared bias and variance of the probabilities: `squared_loss.Decomposition` per sample.

    Arguments and guarantees are those of `MemberMetric`. Memory: 8 N (K + 4) bytes.

    Example:
        >>> metric = BiasVariance(num_samples=1, num_classes=2)
        >>> metric.update(torch.zeros(3, 1, 2), target=torch.tensor([1]), index=torch.tensor([0]))
        >>> metric.compute().bias_sq
        tensor([0.5000], dtype=torch.float64)
    """

    def empty(self) -> Moments:
        return empty_moments(self.num_samples, self.num_classes)

    def moments(self, logits: Tensor, target: Tensor) -> Moments:
        return moments(logits, target)

    def merge(self, a: Moments, b: Moments, target: Tensor) -> Moments:
        return merge(a, b, target)

    def extend(self, state: Moments, logits: Tensor, target: Tensor) -> Moments:
        if len(logits) == 1:
            return add_member(state, logits, target)
        return super().extend(state, logits, target)

    def decompose(self, state: Moments, target: Tensor) -> Decomposition:
        return decompose(state, target)


class CrossEntropyBiasVariance(MemberMetric):
    """Bias and variance of cross-entropy (KL): `other_losses.CrossEntropy` per sample, in nats.

    The jackknifed values need a second pass over the members and are NaN here. Arguments and
    guarantees are those of `MemberMetric`. Memory: 8 N (K + 3) bytes.
    """

    def empty(self) -> LogMoments:
        zeros = torch.zeros(self.num_samples, dtype=torch.float64)
        log_prob_sum = torch.zeros(self.num_samples, self.num_classes, dtype=torch.float64)
        return LogMoments(torch.zeros_like(zeros, dtype=torch.int64), log_prob_sum, zeros)

    def moments(self, logits: Tensor, target: Tensor) -> LogMoments:
        return log_moments(logits)

    def merge(self, a: LogMoments, b: LogMoments, target: Tensor) -> LogMoments:
        return merge_logs(a, b)

    def decompose(self, state: LogMoments, target: Tensor) -> CrossEntropy:
        return decompose_logs(state, target)


class ZeroOneBiasVariance(MemberMetric):
    """Bias and variance of the 0-1 loss of hard votes: `other_losses.ZeroOne` per sample.

    Arguments and guarantees are those of `MemberMetric`. Memory: 8 N (K + 2) bytes.
    """

    def empty(self) -> Votes:
        counts = torch.zeros(self.num_samples, self.num_classes, dtype=torch.int64)
        return Votes(counts.sum(dim=1), counts)

    def moments(self, logits: Tensor, target: Tensor) -> Votes:
        counts = vote_counts(logits.argmax(dim=-1), self.num_classes)
        return Votes(counts.sum(dim=1), counts)

    def merge(self, a: Votes, b: Votes, target: Tensor) -> Votes:
        return Votes(a.count + b.count, a.votes + b.votes)

    def decompose(self, state: Votes, target: Tensor) -> ZeroOne:
        return zero_one(state.votes, target)
