"""What members say of each sample, and what is true of it where there are labels.

Symbols as in `analysis/label_free.py`. The truth of a sample with label y: the share of members
that are wrong; whether the mean is; risk = mean_m ‖p_m - y‖²; bias_sq = ‖p̄ - y‖², which is the risk
of the ensemble.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import disagreement, member_probs, vote_counts
from bvalign.analysis.given import Kept
from bvalign.analysis.intervals import Estimate

RATES = ("error_rate", "ensemble_error_rate")
QUANTITIES = (*RATES, "risk", "bias_sq")
BLOCKS = 10
"""Most blocks of samples that are left out, each in turn."""


class Sample(NamedTuple):
    """Members on the samples of a source or target."""

    probs: Float[Tensor, "members samples classes"]
    votes: Int[Tensor, "members samples"]
    possible: Bool[Tensor, "samples classes"]  # classes that a sample has
    target: Int[Tensor, " samples"] | None
    clusters: Int[Tensor, " samples"] | None

    @property
    def units(self) -> int:
        """Independent samples or clusters."""
        return self.votes.shape[1] if self.clusters is None else len(self.clusters.unique())


class Values(NamedTuple):
    """Label-free values of each sample."""

    mean: Float[Tensor, "samples classes"]  # p̄
    shares: Float[Tensor, "samples classes"]  # of votes
    largest: Float[Tensor, "members samples"]  # max p_m
    disagreement: Float[Tensor, " samples"]
    variance: Float[Tensor, " samples"]
    variance_unbiased: Float[Tensor, " samples"]
    uncertainty: Float[Tensor, " samples"]
    possible: Bool[Tensor, "samples classes"]

    @property
    def prediction(self) -> Int[Tensor, " samples"]:
        """Class of the largest mean probability."""
        return self.mean.argmax(dim=1)

    @property
    def squares(self) -> Float[Tensor, "quantities samples"]:
        """Mean ‖p_m‖² and ‖p̄‖²."""
        of_mean = self.mean.square().sum(dim=1)
        return torch.stack([of_mean + self.variance, of_mean])


def sample_of(kept: Kept, members: list[int] | None = None, num_classes: int = 0) -> Sample:
    """Reads the logits that an analysis keeps.

    Args:
        kept: of the source or target.
        members: positions of those to use, in order; all by default.
        num_classes: K, where votes are for fewer classes.
    """
    logits = kept.logits if members is None else kept.logits[members]
    missing = max(0, num_classes - logits.shape[2])
    logits = torch.nn.functional.pad(logits, (0, missing), value=-torch.inf)
    found = member_probs(logits)
    finite = logits.isfinite()
    votes = bool((finite.sum(dim=-1) == 1).all())  # minus infinity then means "no vote"
    possible = torch.ones_like(finite[0]) if votes else finite.any(dim=0)
    return Sample(found.probs, found.votes, possible, kept.target, kept.clusters)


def part_of(
    sample: Sample, rows: Int[Tensor, " some"] | None = None, members: list[int] | None = None
) -> Sample:
    """Leaves out samples or members."""
    probs, votes, possible, target, clusters = sample
    if members is not None:
        probs, votes = probs[members], votes[members]
    if rows is None:
        return Sample(probs, votes, possible, target, clusters)
    target, clusters = (None if ids is None else ids[rows] for ids in (target, clusters))
    return Sample(probs[:, rows], votes[:, rows], possible[rows], target, clusters)


def values_of(sample: Sample) -> Values:
    """Computes the values of all samples; disagreement and variances of one member are NaN."""
    probs, number = sample.probs, len(sample.probs)
    mean = probs.mean(dim=0)
    centred = sum((p - mean).square().sum(dim=1) for p in probs)
    counts = vote_counts(sample.votes, probs.shape[2])
    return Values(
        mean=mean,
        shares=counts.double() / number,
        largest=probs.amax(dim=2),
        disagreement=disagreement(counts),
        variance=centred / number,
        variance_unbiased=centred / (number - 1),
        uncertainty=1 - probs.square().sum(dim=2).mean(dim=0),
        possible=sample.possible,
    )


def truth_of(values: Values, target: Int[Tensor, " samples"]) -> Float[Tensor, "4 samples"]:
    """The quantities of each sample, in the order of `QUANTITIES`.

    >>> logits = torch.tensor([[[9.0, -9.0]], [[-9.0, 9.0]]])
    >>> kept = Kept(torch.arange(1), logits, torch.tensor([0]))
    >>> values = values_of(sample_of(kept))
    >>> truth_of(values, kept.target)[:, 0].round(decimals=2).tolist()
    [0.5, 0.0, 1.0, 0.5]
    """
    at = target.unsqueeze(1)
    share, mean = (p.gather(1, at).squeeze(1) for p in (values.shares, values.mean))
    wrong = (values.prediction != target).double()
    risk, bias_sq = values.squares - 2 * mean + 1
    return torch.stack([1 - share, wrong, risk, bias_sq])


def blocks(sample: Sample) -> list[Int[Tensor, " some"]]:
    """The rows without each of some random blocks of samples; clusters stay together."""
    ids = torch.arange(sample.votes.shape[1])
    if sample.clusters is not None:
        ids = sample.clusters.unique(return_inverse=True)[1]
    units = int(ids.max()) + 1
    if units < 2:
        return []
    block = np.random.default_rng(0).permutation(units) % min(BLOCKS, units)
    place = torch.from_numpy(block)[ids]
    return [torch.nonzero(place != k).squeeze(1) for k in range(int(block.max()) + 1)]


def complement(number: Estimate) -> Estimate:
    """The accuracy of an error rate, or the other way round.

    >>> complement(Estimate(0.25, (0.125, 0.5)))[:2]
    (0.75, (0.5, 0.875))
    """
    ends = (pair and (1 - pair[1], 1 - pair[0]) for pair in number[1:4])
    value = None if number.value is None else 1 - number.value
    return Estimate(value, *ends, number.reason, number.variances)
