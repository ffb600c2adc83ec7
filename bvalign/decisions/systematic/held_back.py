"""A check of systematic errors on members that were held back.

Half of the members name samples; how often do the others get these wrong? Once nearly all of the
half vote for the same wrong class; once their mean is wrong, the surest errors, as many; once most
of them are wrong; once a single one of them is, which is what someone sees who has trained one
model. Both halves take both parts.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import NEARLY_ALL, softmax, vote_counts
from bvalign.analysis.given import Kept
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance

LEAST_MEMBERS = 4
ALONE = "over samples alone: the members that are held back are the check"
RULES = ("systematic", "surest", "majority", "member")


@dataclass(frozen=True)
class HeldBack:
    """Fraction of the votes of members held back that are wrong, by the rule that names samples.

    Attributes:
        members: of the larger half.
        samples: that are looked at.
        precision: of each rule of RULES.
        named: samples that each rule names, as a fraction of all, on average over halves.
    """

    members: int
    samples: int
    precision: dict[str, Estimate]
    named: dict[str, float]


def held_back(kept: Kept, clusters: Int[Tensor, " samples"] | None) -> HeldBack | None:
    """Checks the rules; None with fewer than four members.

    Args:
        kept: logits of samples.
        clusters: of all samples.
    """
    number, num_samples, _ = kept.logits.shape
    if number < LEAST_MEMBERS:
        return None
    target, halves = kept.target, (kept.logits[::2], kept.logits[1::2])
    wrong, named = {rule: [] for rule in RULES}, {rule: [] for rule in RULES}
    for here, others in (halves, halves[::-1]):
        error = (others.argmax(dim=-1) != target).double().mean(dim=0)
        for rule, weight in _named(here, target).items():
            wrong[rule].append(weight * error)
            named[rule].append(weight)
    own = None if clusters is None else clusters[kept.positions]
    return HeldBack(
        len(halves[0]),
        num_samples,
        {rule: _ratio(sum(wrong[rule]), sum(named[rule]), own) for rule in RULES},
        {rule: float(sum(named[rule]).mean()) / 2 for rule in RULES},
    )


def _named(
    logits: Float[Tensor, "members samples classes"], target: Int[Tensor, " samples"]
) -> dict[str, Float[Tensor, " samples"]]:
    """How much each rule names each sample, from 0 to 1."""
    counts = vote_counts(logits.argmax(dim=-1), logits.shape[-1])
    largest = counts.scatter(-1, target.unsqueeze(-1), 0).amax(dim=-1)
    at_label = counts.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    systematic = largest >= np.ceil(NEARLY_ALL * len(logits) - 1e-9)
    top, mean = softmax(logits).mean(dim=0).max(dim=-1)
    surest = top.where(mean != target, -1.0).argsort(descending=True)[: int(systematic.sum())]
    as_many = torch.zeros_like(systematic).index_fill(0, surest, True) & (mean != target)
    rows = (systematic, as_many, largest > at_label, 1 - at_label / len(logits))
    return {rule: row.double() for rule, row in zip(RULES, rows, strict=True)}


def _ratio(
    part: Float[Tensor, " samples"],
    whole: Float[Tensor, " samples"],
    clusters: Int[Tensor, " samples"] | None,
) -> Estimate:
    """Ratio of two sums over samples, from 0 to 1."""
    if not whole.any():
        return Estimate(None, reason="no sample is named")
    value = float(part.sum() / whole.sum())
    found = samples_variance((part - value * whole) / whole.mean(), clusters)
    return estimate(value, Spread(*found), "proportion", without_members=ALONE)
