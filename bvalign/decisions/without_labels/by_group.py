"""Risk without labels of groups of the samples.

The numbers of a group are means over its samples of what their label probabilities say
(`posterior.py`), as `held_shares` finds them for all samples together.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from bvalign.analysis.intervals import Estimate
from bvalign.decisions.without_labels.methods import Labelled, Numbers, held_samples
from bvalign.decisions.without_labels.spread import widened, with_chance
from bvalign.decisions.without_labels.values import QUANTITIES, RATES, Sample, Values
from bvalign.predictions import Groups

LISTED = 100
"""Most groups, those with the largest error rates."""


class GroupRisk(NamedTuple):
    """One group."""

    column: str  # that tells the groups apart
    group: str
    samples: int
    numbers: dict[str, Estimate]  # by quantity


def risk_by_group(
    source: Sample,
    target: Sample,
    held: float,
    scale: tuple[float, int],
    groups: Mapping[str, Groups],
) -> tuple[GroupRisk, ...]:
    """Estimates of each group, largest error rate first.

    Args:
        source: with labels.
        target: its labels are not read.
        held: see `methods.estimates`.
        scale: of what a shift adds, see `spread.shift_scale`.
        groups: of the target's samples, by column.
    """
    found = []
    for column, (names, numbers) in groups.items():
        place = torch.from_numpy(numbers)
        sizes = place.bincount(minlength=len(names)).tolist()

        def compute(
            ours: Labelled, theirs: Values, rows: Int[Tensor, " some"] | None, place: Tensor = place
        ) -> dict[str, Numbers]:
            return _means(ours, theirs, held, place if rows is None else place[rows])

        rows = with_chance(source, target, compute)
        for number, (name, size) in enumerate(zip(names, sizes, strict=True)):
            if size:
                row = rows[str(number)]
                wider = {q: widened(estimate, q, scale) for q, estimate in row.items()}
                found.append(GroupRisk(column, name, size, wider))
    found.sort(key=lambda group: -group.numbers["error_rate"].value)
    return tuple(found[:LISTED])


def _means(
    source: Labelled, target: Values, held: float, place: Int[Tensor, " samples"]
) -> dict[str, Numbers]:
    """Means over the samples of each group; NaN for one without any."""
    values = held_samples(source, target, held)
    number = int(place.max()) + 1
    means = values.new_zeros(len(values), number).index_add(1, place, values)
    means = (means / place.bincount(minlength=number)).T.tolist()
    named = (dict(zip(QUANTITIES, mean, strict=True)) for mean in means)
    return {
        str(k): found | {name: min(found[name], 1.0) for name in RATES}
        for k, found in enumerate(named)
    }
