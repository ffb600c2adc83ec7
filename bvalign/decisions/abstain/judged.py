"""Numbers of doubts on samples that did not choose them, with intervals over samples and members.

The members' part is a delete-a-group jackknife over the samples whose logits are kept: every number
is computed again without each group of members, with the same coefficients and threshold. Where
that is a part of the samples behind a number, V_b shrinks as they grow, the rest of V_m does not.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import Kind, member_probs
from bvalign.analysis.given import Kept
from bvalign.analysis.groups import (
    Doubts,
    doubt_sums,
    doubts,
    leave_one_out,
    left_out_variance,
    member_groups,
)
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance
from bvalign.decisions.abstain.ranking import Area

CHUNK = 2**18
"""Logits at a time."""

LEAST_GROUPS, LEAST_KEPT = 3, 20


class Part(NamedTuple):
    """Doubts and errors of some samples, from one or several sets of members."""

    doubts: Doubts  # (sets, samples)
    wrong: Float[Tensor, "sets samples"]  # 1 where the prediction of the set is wrong, else 0


class Replicates(NamedTuple):
    """What the kept logits of some samples add."""

    without: Part | None  # without each group of members; None of fewer than three, or few samples
    confidence: Float[Tensor, "members samples"]  # 1 - max p_m of each member alone
    wrong: Float[Tensor, "members samples"]  # 1 where it is wrong, else 0


def replicates(kept: Kept, rows: Int[Tensor, " rows"]) -> Replicates:
    """Doubts without each group of members, and those of single members.

    Args:
        kept: logits.
        rows: of them that are wanted.
    """
    groups = member_groups(len(kept.logits))
    length = max(1, CHUNK // (kept.logits.shape[0] * kept.logits.shape[2]))
    parts, alone = [], []
    for some in rows.split(length):
        members = member_probs(kept.logits[:, some])
        votes = members.votes.unsqueeze(-1)
        alone.append((members.probs.scatter(-1, votes, 0.0).sum(dim=-1), members.votes))
        if len(groups.members) >= LEAST_GROUPS:
            parts.append(doubts(leave_one_out(doubt_sums(members, groups))))
    target = kept.target[rows]
    confidence, votes = (torch.cat(values, dim=1) for values in zip(*alone, strict=True))
    without = None
    if parts and len(rows) >= LEAST_KEPT:
        joined = Doubts(*(torch.cat(values, dim=1) for values in zip(*parts, strict=True)))
        without = Part(joined, (joined.prediction != target).double())
    return Replicates(without, confidence, (votes != target).double())


def with_intervals(
    area: Area,
    without: Area | None,
    clusters: Int[Tensor, " samples"] | None,
    kind: Kind = "proportion",
) -> Estimate:
    """A number with its intervals.

    Args:
        area: of one set, all members.
        without: of the sets without each group of members.
        clusters: of the samples of `area`.
        kind: of the number.
    """
    samples, units = samples_variance(area.influence[0], clusters)
    value, spread = float(area.value[0]), Spread(samples, units)
    if without is None:
        return estimate(value, spread, kind)
    groups, kept = without.influence.shape
    both = float(left_out_variance(without.influence).sum()) / kept**2
    added = max(float(left_out_variance(without.value)) - both, 0.0)
    both *= kept / area.influence.shape[1]
    return estimate(value, Spread(samples, units, added + both, both, groups), kind)


def over_members(area: Area, clusters: Int[Tensor, " samples"] | None) -> Estimate:
    """Mean over members of a number of each one alone.

    Args:
        area: of each member.
        clusters: of the samples.
    """
    members, number = area.influence.shape
    samples, units = samples_variance(area.influence.mean(dim=0), clusters)
    spread = Spread(samples, units)
    if members >= LEAST_GROUPS:
        both = float(area.influence.var(dim=0).sum()) / members / number**2
        spread = Spread(samples, units, float(area.value.var()) / members, both, members)
    return estimate(float(area.value.mean()), spread, "proportion")


def difference(a: Area, b: Area) -> Area:
    """Of two numbers of the same samples."""
    return Area(a.value - b.value, a.influence - b.influence)


def share(accepted: Tensor) -> Area:
    """Fraction of the samples that are accepted, in each set (sets, samples)."""
    accepted = accepted.double()
    return Area(accepted.mean(dim=-1), accepted)


def error_rate(accepted: Tensor, wrong: Float[Tensor, "sets samples"]) -> Area:
    """Share of the accepted samples that is wrong, in each set; NaN where none is accepted."""
    accepted = accepted.double()
    coverage = accepted.mean(dim=-1)
    rate = (accepted * wrong).mean(dim=-1) / coverage
    influence = accepted * (wrong - rate[:, None]) / coverage[:, None] + rate[:, None]
    return Area(rate, influence)
