"""The first pass of the population slope: the shape of the noise, of all members and of parts.

The shape comes from at most `DRAWN` samples, before the pass that needs it. Sets of members are, in
this order everywhere: all of them, all without each group, and the smaller ensembles of
`MemberGroups`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri
from torch import Tensor

from bvalign.analysis.collect import Range, collect
from bvalign.analysis.decompositions import softmax
from bvalign.analysis.groups import (
    MemberGroups,
    Residuals,
    Sums,
    join,
    leave_one_out,
    odds_sums,
    of_samples,
    residuals,
    unite,
)
from bvalign.analysis.slopes.logit_values import has_spread, set_odds
from bvalign.analysis.slopes.noise_shape import (
    GAUSSIAN,
    CentralSums,
    NoiseShape,
    noise_table,
    pooled_shape,
)
from bvalign.analysis.slopes.quadrature import NoiseTable

LEAST_MEMBERS = 3
"""Fewest members with a variance when one is left out."""

SHAPE_MEMBERS = 5
"""Fewest members whose noise has an estimated shape; with fewer it is taken as Gaussian."""

LEAST_SAMPLES = 30
"""Fewest correct samples of a slope."""


class OddsBlock(NamedTuple):
    """Log odds of each set on the drawn samples, nats; zero where a set cannot be asked."""

    mu: Float[Tensor, "sets drawn"]
    second: Float[Tensor, "sets drawn"]
    third: Float[Tensor, "sets drawn"]
    fourth: Float[Tensor, "sets drawn"]
    usable: Bool[Tensor, "sets drawn"]


class PooledNoise(NamedTuple):
    """Distribution of the noise in the log odds of each set."""

    shapes: tuple[NoiseShape, ...]
    table: NoiseTable  # of each set
    heavy: NoiseTable  # of all members, with exponential tails
    score: float  # normal score beyond which no member of these samples is expected


def noise_of(
    ranges: Callable[[], Iterable[Range]],
    groups: MemberGroups,
    places: Mapping[str, Int[Tensor, " some"]],
    num_ranges: int,
    reduce: Callable[[Tensor], object],
) -> PooledNoise | None:
    """Reads the drawn samples once and pools the shape; None with fewer than three members.

    Arguments as for `collect`, but `ranges` begins a pass.
    """
    if sum(groups.sizes) < LEAST_MEMBERS:
        return None

    def compute(part: Range) -> OddsBlock:
        rows = part.rows(places["drawn"])
        return odds_block(residuals(softmax(part.logits[:, rows]), part.target[rows]), groups)

    odds = collect(ranges(), compute, num_ranges, places, reduce)
    return pool_noise(odds, groups, len(places["samples"]))


def sets_of(by_group: Sums, groups: MemberGroups) -> Sums:
    """Sums of every set, from those of the groups."""
    whole = torch.ones(1, len(groups.members), dtype=torch.bool)
    parts = [unite(by_group, whole), leave_one_out(by_group), unite(by_group, groups.smaller)]
    return join(parts)


def set_sizes(groups: MemberGroups) -> Int[Tensor, " sets"]:
    """Members of every set."""
    sizes = torch.tensor(groups.sizes)
    return torch.cat([sizes.sum().unsqueeze(0), sizes.sum() - sizes, groups.smaller.long() @ sizes])


def odds_block(drawn: Residuals, groups: MemberGroups) -> OddsBlock:
    """Log odds of some samples, for every set of members."""
    kept = torch.nonzero(has_spread(drawn.odds)).flatten()
    sums = of_samples(sets_of(odds_sums(drawn, groups), groups), kept)
    found = set_odds(sums, drawn.odds[:, kept].mean(dim=0), drawn.target[kept])
    number = len(found.usable)
    values = torch.zeros(4, number, len(drawn.target), dtype=torch.float64)
    values[:, :, kept] = torch.stack([found.odds.mu.reshape(number, -1), *found.sums])
    usable = torch.zeros(number, len(drawn.target), dtype=torch.bool)
    usable[:, kept] = found.usable
    return OddsBlock(*values, usable)


def pool_noise(odds: OddsBlock, groups: MemberGroups, num_samples: int) -> PooledNoise:
    """Pools the shape over the drawn samples that each set gets right.

    Args:
        odds: of all drawn samples.
        groups: of the members.
        num_samples: N, of which the drawn ones are a part.
    """
    sizes, shapes = set_sizes(groups).tolist(), []
    estimated = sizes[0] >= SHAPE_MEMBERS
    for size, mu, second, third, fourth, usable in zip(sizes, *odds, strict=True):
        enough = estimated and size >= SHAPE_MEMBERS - 1 and int(usable.sum()) >= LEAST_SAMPLES
        sums = CentralSums(*(part[usable] for part in (second, third, fourth)))
        shapes.append(pooled_shape(mu[usable], sums, size) if enough else GAUSSIAN)
    correct = int(odds.usable[0].sum()) * num_samples / max(odds.usable.shape[1], 1)
    return PooledNoise(
        tuple(shapes),
        noise_table(shapes),
        noise_table(shapes[:1], "log_f"),
        float(-ndtri(1 / max(correct * sizes[0], 2.0))),
    )
