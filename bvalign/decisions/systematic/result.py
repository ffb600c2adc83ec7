"""The answer: which errors are systematic and which chance, by sample and by group."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import NEARLY_ALL, Column, Unit
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance
from bvalign.analysis.sample_table import SampleTable
from bvalign.analysis.summary import Analysis
from bvalign.decisions.card import Card, Decision
from bvalign.decisions.systematic import words
from bvalign.decisions.systematic.group_numbers import (
    Group,
    groups_of,
    per_sample,
    whole,
)
from bvalign.decisions.systematic.held_back import HeldBack, held_back
from bvalign.decisions.systematic.stand_out import FALSE_DISCOVERIES, adjusted
from bvalign.predictions import Groups

LISTED = 20
"""Most samples of a list, confusions and groups in summary.json."""

CLASS = "class"


class WrongVotes(NamedTuple):
    """The wrong class with the most votes."""

    classes: Int[Tensor, " samples"]
    share: Float[Tensor, " samples"]  # of the members


@dataclass(frozen=True)
class Systematic(Decision):
    """Systematic and chance errors.

    Attributes:
        num_members: M.
        num_samples: N.
        numbers: of all samples, by the names in `group_numbers.py`.
        groups: of all columns.
        confusions: pairs of label and wrong class with systematic errors, most of them first.
        systematic: the largest systematic errors.
        chance: the largest chance errors.
        checked: on members held back; None with fewer than four.
        per_sample: columns of samples.csv.
    """

    num_members: int
    num_samples: int
    numbers: dict[str, Estimate]
    groups: tuple[Group, ...]
    confusions: tuple[dict[str, object], ...]
    systematic: tuple[dict[str, object], ...]
    chance: tuple[dict[str, object], ...]
    checked: HeldBack | None
    per_sample: dict[str, Column]

    def card(self) -> Card:
        """Says the answer."""
        number = self.numbers["systematic_share"]
        if self.num_members == 1:
            number = Estimate(None, reason="one member does not show what others would get wrong")
        elif number.value is None:
            number = Estimate(None, reason="the ensemble makes no errors on these samples")
        return Card(
            key="systematic",
            question="Systematic or chance?",
            answer=words.answer((self.num_members, self.num_samples), self.numbers, self.groups),
            number=number,
            assumption=words.ASSUMPTION,
            baseline=words.baseline(self.checked),
            chart=words.chart(self.numbers, self.groups),
            page="docs/decisions/systematic.md",
            beside="groups.json" if self.groups else "",
        )

    def summary(self) -> dict[str, object]:
        """Numbers for summary.json."""
        first = sorted(self.groups, key=lambda g: (g.adjusted is None, _p(g)))
        return {
            **self.numbers,
            "nearly_all": math.ceil(NEARLY_ALL * self.num_members - 1e-9),
            "false_discoveries": FALSE_DISCOVERIES,
            "groups_tested": sum(group.p_value is not None for group in self.groups),
            "groups_that_stand_out": sum(group.stands_out for group in self.groups),
            "groups": [_row(group) for group in first[:LISTED]],
            "confusions": list(self.confusions),
            "largest_systematic": list(self.systematic),
            "largest_chance": list(self.chance),
            "held_back": None if self.checked is None else vars(self.checked),
        }

    def columns(self) -> dict[str, Column]:
        """Columns of samples.csv."""
        return self.per_sample

    def files(self) -> dict[str, dict[str, object]]:
        """All groups, as `groups.json`."""
        if not self.groups:
            return {}
        rows = [_row(group) for group in self.groups]
        for row in rows:
            for name, number in row.items():
                if isinstance(number, Estimate):
                    row[name] = {key: getattr(number, key) for key in OF_FILE}
        return {"groups.json": {"false_discoveries": FALSE_DISCOVERIES, "groups": rows}}


OF_FILE = ("value", "interval", "interval_samples", "reason")
"""What groups.json has of an estimate."""


def systematic_or_chance(
    analysis: Analysis,
    groups: Mapping[str, Groups] | None = None,
    class_names: Sequence[str] = (),
) -> Systematic:
    """Tells errors that nearly all members share from errors that some avoid.

    Args:
        analysis: with labels.
        groups: of the samples to compare, by column, beside those of the labels.
        class_names: one per class; their numbers by default.
    """
    table, given = analysis.table, per_sample(analysis)
    names = tuple(class_names) or tuple(map(str, range(analysis.num_classes)))
    columns = {CLASS: Groups(names, table.target.numpy()), **(groups or {})}
    found = [group for c in columns for group in groups_of(given, c, *columns[c])]
    together = adjusted(np.array([_p(group) for group in found]))
    found = [
        group if np.isnan(p) else replace(group, adjusted=float(p))
        for group, p in zip(found, together, strict=True)
    ]
    wrong, squared = _most_voted_wrong(table), table.decomposition
    share = squared.variance_unbiased / squared.risk
    of_samples = {
        "variance_share": Column(share, Unit("fraction of the risk", kind="proportion")),
        "consistently_wrong": Column(wrong.share, Unit("fraction of members", kind="proportion")),
    }
    systematic, chance = (torch.from_numpy(row > 0) for row in given.values[-2:])
    if analysis.num_members == 1:
        systematic = chance = torch.zeros_like(systematic)
    lists = (
        _largest(table, names, of_samples, which, by)
        for which, by in ((systematic, squared.risk), (chance, squared.variance_unbiased))
    )
    return Systematic(
        analysis.num_members,
        analysis.num_samples,
        whole(given),
        tuple(found),
        tuple(_confusions(table, names, wrong.classes, systematic)),
        *lists,
        held_back(analysis.kept, table.cluster),
        of_samples,
    )


def _most_voted_wrong(table: SampleTable) -> WrongVotes:
    """Exact where it has more votes than the label; elsewhere among the four leading classes."""
    lead, zero_one, target = table.leading, table.zero_one, table.target
    members = zero_one.count.double()
    votes, place = lead.votes.where(lead.classes != target.unsqueeze(-1), 0).max(dim=-1)
    classes = lead.classes.gather(-1, place.unsqueeze(-1)).squeeze(-1)
    main_wrong = zero_one.main != target
    return WrongVotes(
        torch.where(main_wrong, zero_one.main, classes.long()),
        torch.where(main_wrong, 1 - zero_one.variance_01, votes / members),
    )


def _largest(
    table: SampleTable,
    names: Sequence[str],
    of_samples: Mapping[str, Column],
    which: Bool[Tensor, " samples"],
    by: Float[Tensor, " samples"],
) -> tuple[dict[str, object], ...]:
    """Samples with the largest values among some."""
    rows = which.nonzero().flatten()
    rows = rows[by[rows].argsort(descending=True, stable=True)[:LISTED]].tolist()
    return tuple(
        {
            "index": int(table.index[row]),
            "label": names[int(table.target[row])],
            "prediction": names[int(table.prediction[row])],
            "error_rate": float(table.zero_one.error_rate[row]),
            "risk": float(table.decomposition.risk[row]),
            **{name: float(column.values[row]) for name, column in of_samples.items()},
        }
        for row in rows
    )


def _confusions(
    table: SampleTable,
    names: Sequence[str],
    classes: Int[Tensor, " samples"],
    systematic: Bool[Tensor, " samples"],
) -> list[dict[str, object]]:
    """Pairs of label and wrong class, with the fraction of the label's samples that are such."""
    pairs = torch.stack([table.target, classes])[:, systematic]
    found, counts = pairs.unique(dim=1, return_counts=True)
    first = counts.argsort(descending=True, stable=True)[:LISTED]
    rows = []
    for label, wrong in found[:, first].T.tolist():
        here = table.target == label
        hit = ((classes == wrong) & systematic)[here].double()
        own = None if table.cluster is None else table.cluster[here]
        spread = Spread(*samples_variance(hit, own))
        rows.append(
            {
                "label": names[label],
                "wrong": names[wrong],
                "samples": int(hit.sum()),
                "fraction": estimate(
                    float(hit.mean()), spread, "proportion", without_members="over samples alone"
                ),
            }
        )
    return rows


def _row(group: Group) -> dict[str, object]:
    """A group as in summary.json and groups.json."""
    return {
        "column": group.column,
        "name": group.name,
        "samples": group.samples,
        **group.numbers,
        "p_value": group.p_value,
        "adjusted": group.adjusted,
        "stands_out": group.stands_out,
    }


def _p(group: Group) -> float:
    return math.nan if group.p_value is None else group.p_value
