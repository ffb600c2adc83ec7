"""Numbers of doubts on samples that did not choose them, with intervals over samples and members.

The members' part is a delete-a-group jackknife over the samples whose logits are kept: every number
is computed again without each group of members, with the same coefficients and threshold. Where
those are a part of the samples behind a number, V_b shrinks as samples grow, and the rest of V_m
does not.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
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
from bvalign.analysis.summary import Analysis
from bvalign.decisions.abstain.ranking import Area, areas, ranked

CHUNK = 2**18
"""Logits at a time."""

MOST_SAMPLES = 10_000
"""Those whose logits are kept come first."""

LEAST_GROUPS, LEAST_KEPT = 3, 20


class Part(NamedTuple):
    """Doubts and errors of some samples, from one or several sets of members."""

    doubts: Doubts  # (sets, samples)
    wrong: Float[Tensor, "sets samples"]  # 1 where the prediction of the set is wrong, else 0


class Alone(NamedTuple):
    """Doubts and errors of each member alone."""

    doubt: Float[Tensor, "members samples"]  # 1 - max p_m
    wrong: Float[Tensor, "members samples"]
    clusters: Int[Tensor, " samples"] | None

    def areas(self) -> dict[str, Estimate]:
        """AURC and AUGRC, averaged over members."""
        return {
            name: _over_members(area, self.clusters)
            for name, area in areas(self.doubt, self.wrong)._asdict().items()
        }

    def rates(self, coverages: Float[Tensor, " points"]) -> list[float]:
        """Error rate among the most certain samples, averaged over members."""
        errors, number = ranked(self.doubt, self.wrong).errors.mean(dim=0), self.doubt.shape[1]
        taken = (coverages * number).ceil().long()
        return (errors[taken - 1] / taken).tolist()


class Judges(NamedTuple):
    """Samples that judge: with all members, without each group of them, and with each alone."""

    all: Part  # one set
    clusters: Int[Tensor, " samples"] | None
    without: Part | None  # None with fewer than three groups, or few kept samples
    alone: Alone

    @property
    def parts(self) -> tuple[Part, ...]:
        """With all members and, where there are such, without each group."""
        return (self.all,) if self.without is None else (self.all, self.without)

    def estimate(self, numbers: Sequence[Area], kind: Kind = "proportion") -> Estimate:
        """A number with its intervals.

        Args:
            numbers: of each of `parts`.
            kind: of the number.
        """
        spread = Spread(*samples_variance(numbers[0].influence[0], self.clusters))
        for without in numbers[1:]:
            spread = self._with_members(spread, without)
        return estimate(float(numbers[0].value[0]), spread, kind)

    def error_rate(self, accepted: Sequence[Tensor]) -> Estimate:
        """Share of the accepted samples that is wrong.

        Where none of them is, over samples alone: what other members would do to so few errors
        cannot be seen.

        Args:
            accepted: whether, of each of `parts` (sets, samples), boolean.
        """
        taken = accepted[0][0]
        if not taken.any():
            return Estimate(None, reason="none of these samples is accepted")
        wrong = self.all.wrong[0, taken]
        clusters = None if self.clusters is None else self.clusters[taken]
        spread = Spread(*samples_variance(wrong, clusters))
        for without in accepted[1:] if wrong.any() else ():
            spread = self._with_members(spread, _rate(without, self.without.wrong))
        return estimate(float(wrong.mean()), spread, "proportion")

    def _with_members(self, spread: Spread, without: Area) -> Spread:
        groups, kept = without.influence.shape
        both = float(left_out_variance(without.influence).sum()) / kept**2
        added = max(float(left_out_variance(without.value)) - both, 0.0)
        both *= kept / self.all.wrong.shape[1]
        return spread._replace(members=added + both, both=both, groups=groups)


def judges_of(
    analysis: Analysis, wrong: Float[Tensor, " samples"], rows: Int[Tensor, " rows"]
) -> Judges:
    """Samples that judge.

    Args:
        analysis: of all samples.
        wrong: 1 where the prediction is wrong, else 0.
        rows: the samples that may judge, in random order.
    """
    table, kept = analysis.table, analysis.kept
    place = torch.full((len(wrong),), -1)
    place[kept.positions] = torch.arange(len(kept.positions))
    is_kept = place[rows] >= 0
    rows = torch.cat([rows[is_kept], rows[~is_kept]])[:MOST_SAMPLES]
    among = place[rows]
    among = among[among >= 0]
    clusters, of_kept = (
        None if table.cluster is None else table.cluster[some]
        for some in (rows, kept.positions[among])
    )
    found = Doubts(*(values[None, rows] for values in table.doubts))
    without, doubt, wrong_alone = _replicates(kept, among)
    alone = Alone(doubt, wrong_alone, of_kept)
    return Judges(Part(found, wrong[None, rows]), clusters, without, alone)


def difference(a: Area, b: Area) -> Area:
    """Of two numbers of the same samples."""
    return Area(a.value - b.value, a.influence - b.influence)


def share(accepted: Bool[Tensor, "sets samples"]) -> Area:
    """Fraction of the samples that are accepted."""
    return Area(accepted.double().mean(dim=-1), accepted.double())


def _replicates(
    kept: Kept, rows: Int[Tensor, " rows"]
) -> tuple[Part | None, Float[Tensor, "members rows"], Float[Tensor, "members rows"]]:
    """Doubts without each group of members, and doubts and errors of each member alone."""
    groups = member_groups(len(kept.logits))
    length = max(1, CHUNK // (kept.logits.shape[0] * kept.logits.shape[2]))
    parts, alone = [], []
    for some in rows.split(length):
        members = member_probs(kept.logits[:, some])
        votes = members.votes.unsqueeze(-1)
        alone.append((members.probs.scatter(-1, votes, 0.0).sum(dim=-1), members.votes))
        if len(groups.members) >= LEAST_GROUPS and len(rows) >= LEAST_KEPT:
            parts.append(doubts(leave_one_out(doubt_sums(members, groups))))
    target = kept.target[rows]
    doubt, votes = (torch.cat(values, dim=1) for values in zip(*alone, strict=True))
    without = None
    if parts:
        joined = Doubts(*(torch.cat(values, dim=1) for values in zip(*parts, strict=True)))
        without = Part(joined, (joined.prediction != target).double())
    return without, doubt, (votes != target).double()


def _rate(accepted: Bool[Tensor, "sets samples"], wrong: Float[Tensor, "sets samples"]) -> Area:
    """Error rate of each set, with the influence of each sample on it."""
    accepted = accepted.double()
    coverage = accepted.mean(dim=-1, keepdim=True)
    rate = (accepted * wrong).mean(dim=-1, keepdim=True) / coverage
    return Area(rate.squeeze(-1), accepted * (wrong - rate) / coverage + rate)


def _over_members(area: Area, clusters: Int[Tensor, " samples"] | None) -> Estimate:
    members, number = area.influence.shape
    spread = Spread(*samples_variance(area.influence.mean(dim=0), clusters))
    if members >= LEAST_GROUPS:
        both = float(area.influence.var(dim=0).sum()) / members / number**2
        added = float(area.value.var()) / members
        spread = spread._replace(members=added, both=both, groups=members)
    return estimate(float(area.value.mean()), spread, "proportion")
