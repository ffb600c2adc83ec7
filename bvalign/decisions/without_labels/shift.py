"""How far the target is from the source, as the predictions show it.

Samples are counted in cells: predicted class x confidence, at quantiles of the source; by one of
the two where samples are too few for both. Three
numbers compare the shares of the cells:

    distance        total variation: the least share of the samples that would have to be others
    class_distance  the same of the predicted classes alone
    left            what is left of the distance if the class shares of the labels may change, and
                    nothing else: the target as a mixture of the classes of the source, by maximum
                    likelihood (Saerens, Latinne & Decaestecker 2002)

If `left` is no more than chance makes it, the target is like a label shift: within each class it
looks like the source. Else the classes look different, and that predicted class shares move is a
sign of errors. How much of their move is more than chance is the positive-part estimate of James
and Stein (1961), 1 - (expected square of chance) / (square found).
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.decisions.without_labels.values import Sample, Values

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
"""Quantiles of the source's confidence that part the cells: finer where errors are."""

COARSE = (0.05, 0.2, 0.5)
PER_CELL = 10
"""Samples that a cell should have on average, in source and target."""

LEAST_SAMPLES = 50
"""Fewer have no class shares to speak of."""

BY_CHANCE = 1.5
"""Most of the distance that chance alone makes on average, for what is called chance."""

ROUNDS = 300


class Shift(NamedTuple):
    """Distances between source and target, shares of the samples."""

    distance: float
    chance: float  # distance that equal sources and targets of this size have on average
    class_distance: float
    left: float | None  # None where there are too few samples, or too many classes, to say
    like_label_shift: bool
    held: float  # fraction of the move of the class shares that is neither chance nor labels'

    @property
    def beyond_chance(self) -> float:
        """Distance without what chance adds to its square."""
        return math.sqrt(max(0.0, self.distance**2 - self.chance**2))


def shift_between(source: Sample, target: Sample, values: tuple[Values, Values]) -> Shift:
    """Compares the predictions.

    Args:
        source: with labels.
        target: its labels are not read.
        values: of both.
    """
    ours, theirs = values
    sizes = source.units, target.units
    move, chance_of_move = _class_move(ours, theirs, sizes)
    classes = 0.5 * float(move.abs().sum())
    few = min(sizes) < LEAST_SAMPLES
    held = 0.0 if few else max(0.0, 1 - chance_of_move / max(float(move.square().sum()), 1e-300))
    levels = _levels(min(sizes), move.numel())
    if levels is None:
        by_level = (_cells(v, ours, COARSE, by_class=False) for v in values)
        by_class = (v.prediction for v in values)
        found = _distance(*by_level, sizes), _distance(*by_class, sizes, move.numel())
        distance, chance = max(found, key=lambda pair: pair[0] ** 2 - pair[1] ** 2)
        return Shift(distance, chance, classes, None, False, held)
    cells = [_cells(v, ours, levels, by_class=True) for v in values]
    number = move.numel() * (len(levels) + 1)
    distance, chance = _distance(*cells, sizes, number)
    fitted = _mixture(cells, source.target, number)
    left, chance_of_fit = _between(fitted, _shares(cells[1], number), sizes)
    like = left <= BY_CHANCE * chance_of_fit
    return Shift(distance, chance, classes, left, like, 0.0 if like else held)


def _class_move(
    ours: Values, theirs: Values, sizes: tuple[int, int]
) -> tuple[Float[Tensor, " classes"], float]:
    """Change of the predicted class shares, and the expected square of chance."""
    pairs = list(zip((ours.shares, theirs.shares), sizes, strict=True))
    (a, _), (b, _) = pairs
    square = sum(float(shares.var(dim=0, correction=0).sum()) / n for shares, n in pairs)
    return b.mean(dim=0) - a.mean(dim=0), square


def _levels(size: int, num_classes: int) -> tuple[float, ...] | None:
    for levels in (LEVELS, COARSE):
        if size >= PER_CELL * num_classes * (len(levels) + 1):
            return levels
    return None


def _cells(
    values: Values, source: Values, levels: tuple[float, ...], *, by_class: bool
) -> Int[Tensor, " samples"]:
    """The cell of each sample."""
    edges = source.mean.amax(dim=1).quantile(torch.tensor(levels, dtype=torch.float64))
    level = torch.searchsorted(edges, values.mean.amax(dim=1))
    return values.prediction * (len(levels) + 1) + level if by_class else level


def _shares(cells: Int[Tensor, " samples"], number: int) -> Float[Tensor, " cells"]:
    return cells.bincount(minlength=number).double() / len(cells)


def _distance(
    ours: Int[Tensor, " source"],
    theirs: Int[Tensor, " target"],
    sizes: tuple[int, int],
    number: int = len(COARSE) + 1,
) -> tuple[float, float]:
    return _between(_shares(ours, number), _shares(theirs, number), sizes)


def _between(
    ours: Float[Tensor, " cells"], theirs: Float[Tensor, " cells"], sizes: tuple[int, int]
) -> tuple[float, float]:
    """Total variation, and its mean if both were drawn from the first."""
    spread = (ours * (1 - ours) * (1 / sizes[0] + 1 / sizes[1])).sqrt().sum()
    return 0.5 * float((ours - theirs).abs().sum()), float(spread) * math.sqrt(0.5 / math.pi)


def _mixture(
    cells: list[Tensor], labels: Int[Tensor, " source"], number: int
) -> Float[Tensor, " cells"]:
    """The mixture of the source's classes that is nearest to the target, by EM."""
    present = labels.unique()
    of_class = torch.stack([_shares(cells[0][labels == k], number) for k in present])
    of_class = of_class + 1e-5 / number
    found = _shares(cells[1], number)
    weights = torch.full((len(present),), 1 / len(present), dtype=torch.float64)
    for _ in range(ROUNDS):
        weights = weights * (of_class @ (found / (weights @ of_class)))
        weights = weights / weights.sum()
    return weights @ of_class
