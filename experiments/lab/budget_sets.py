"""What all members, and all without each group of them, say of the samples that they get right."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from odds_models import Logs
from torch import Tensor

from bvalign.analysis.decompositions.squared_loss import softmax
from bvalign.analysis.groups import (
    MemberGroups,
    MemberSums,
    leave_one_out,
    member_sums,
    of_samples,
    residuals,
    set_values,
    unite,
)
from bvalign.analysis.slopes import PooledNoise, has_logs, pool_noise
from bvalign.analysis.slopes.drawn import OddsBlock
from bvalign.analysis.slopes.logit_values import OddsValues, has_spread, odds_values
from bvalign.analysis.slopes.noise_families import noise_table
from bvalign.analysis.slopes.quadrature import NoiseTable


class Sets(NamedTuple):
    """What all members, and all without each group of them, say of some samples."""

    odds: Float[Tensor, "members samples"]
    values: OddsValues
    plug_in: Logs  # (sets, samples) each
    has_plug_in: Bool[Tensor, "sets samples"]
    members: list[Tensor]  # of each set


def read_sets(logits: Tensor, target: Tensor, groups: MemberGroups) -> Sets:
    """Reads samples that all members together get right; those without spread are left out.

    Args:
        logits: (members, samples, classes).
        target: class ids.
        groups: of the members.
    """
    given = residuals(softmax(logits), target)
    given = of_samples(given, torch.nonzero(has_spread(given.odds)).flatten())
    by_group = member_sums(given, groups)
    whole = torch.ones(1, len(groups.members), dtype=torch.bool)
    both = zip(unite(by_group, whole), leave_one_out(by_group), strict=True)
    sets = set_values(MemberSums(*map(torch.cat, both)), given)
    usable = sets.correct & has_logs(sets.bias_sq, sets.variance)
    members = torch.arange(len(logits))
    return Sets(
        given.odds,
        odds_values(sets, given.odds.mean(dim=0)),
        (sets.bias_sq.log(), sets.variance.log()),
        usable,
        [members] + [members[~torch.isin(members, torch.tensor(g))] for g in groups.members],
    )


def pooled(sets: Sets, groups: MemberGroups, rows: Bool[Tensor, " samples"]) -> PooledNoise:
    """Shape of the noise on some of the samples."""
    values, none = sets.values, torch.zeros(0, int(rows.sum()))
    parts = (values.odds.mu, *values.sums, values.usable)
    block = OddsBlock(*(part[:, rows] for part in parts), none, none)
    return pool_noise(block, groups, int(rows.sum()))


def tables(noise: PooledNoise) -> list[NoiseTable]:
    """Distribution of the noise of all members and of all without each group, shrunk alike."""
    change = noise.change
    basis = change.shape.basis(change.points)
    whole = basis @ change.shape.coefficients
    kept = np.divide(change.lines, whole, out=np.zeros_like(whole), where=whole != 0)
    without = [basis @ (change.shape.coefficients + moved) * kept for moved in change.change]
    return [noise.table, *(noise_table(change.points, lines) for lines in without)]
