"""Distribution of the noise in the log odds, and how it would change with other members.

The shape comes from the drawn samples, before the pass that needs it. All samples share the same M
members, so what members have in common, such as a temperature of their own, is seen only M times:
skewness and kurtosis are shrunk to those of the normal by the factor 1 - (variance over members
that samples share) / (mean square), estimated with groups of members left out.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from bvalign.analysis.groups import MemberGroups
from bvalign.analysis.slopes.drawn import OddsBlock
from bvalign.analysis.slopes.noise_families import noise_table
from bvalign.analysis.slopes.noise_shape import KStatistics, PooledShape, k_statistics
from bvalign.analysis.slopes.quadrature import NoiseTable

SHAPE_MEMBERS = 5
"""Fewest members whose noise has an estimated shape; with fewer it is taken as Gaussian."""

LEAST_SAMPLES = 30
"""Fewest correct samples of a slope."""

POINTS = 4
"""Points in mu between which the values at the nodes are interpolated."""


class ShapeChange(NamedTuple):
    """The estimated shape, and what it would be without each group of members."""

    shape: PooledShape  # of the drawn samples that all members get right, before shrinking
    points: Float[np.ndarray, " points"]  # mean log odds, nats
    lines: Float[np.ndarray, "points 2"]  # skewness and kurtosis there, shrunk
    change: Float[np.ndarray, "groups terms 2"]  # of the coefficients
    influences: Float[np.ndarray, "groups 2 samples"]  # change of each sample's influence
    kurtosis: float  # mean over the bands
    kurtosis_error: float  # standard error over members


class PooledNoise(NamedTuple):
    """Distribution of the noise in the log odds."""

    table: NoiseTable
    heavy: NoiseTable  # with exponential tails
    score: float  # normal score beyond which no member of these samples is expected
    change: ShapeChange | None  # None where a Gaussian shape is assumed


def pool_noise(
    odds: OddsBlock | None, groups: MemberGroups, num_samples: int
) -> PooledNoise | None:
    """Pools the shape over the drawn samples that all members together get right.

    Args:
        odds: of all drawn samples; None with fewer than three members.
        groups: of the members.
        num_samples: N, of which the drawn ones are a part.
    """
    if odds is None:
        return None
    members, usable = sum(groups.sizes), odds.usable[0].numpy()
    correct = int(usable.sum()) * num_samples / max(len(usable), 1)
    score = float(-ndtri(1 / max(correct * members, 2.0)))
    change, points, lines = None, np.array([-1.0, 1.0]), np.zeros((2, 2))
    if members >= SHAPE_MEMBERS and usable.sum() >= LEAST_SAMPLES:
        change = _shape_change(odds, groups)
        points, lines = change.points, change.lines
    table, heavy = (noise_table(points, lines, tails) for tails in ("sinh_arcsinh", "log_f"))
    return PooledNoise(table, heavy, score, change)


def _shape_change(odds: OddsBlock, groups: MemberGroups) -> ShapeChange:
    members, usable = sum(groups.sizes), odds.usable.numpy()
    mu, sums = odds.mu.numpy(), [part.numpy() for part in odds[1:4]]
    right = usable[0]

    def k(row: int, count: int, samples: np.ndarray) -> KStatistics:
        return k_statistics(*(part[row][samples] for part in sums), count)

    shape = PooledShape(mu[0][right], k(0, members, right))
    own, change, influences = shape.influence(shape.k), [], []
    for row, size in enumerate(groups.sizes, start=1):
        left, of_left = members - size, usable[row]
        if not of_left.any():  # nothing to estimate from: as with all members
            of_left = right
        without = PooledShape(mu[row][of_left], k(row, left, of_left))
        change.append(_padded(without, shape) - shape.coefficients)
        influences.append(shape.influence(k(row, left, right)) - own)
    change, influences = np.stack(change), np.stack(influences)
    points = np.linspace(shape.centres[0], shape.centres[-1], POINTS)
    if len(shape.centres) == 1:
        points = shape.centres[0] + np.linspace(-1, 1, POINTS)
    at_bands = shape.basis(shape.centres)
    kurtosis = change[:, :, 1] @ at_bands.mean(axis=0)
    return ShapeChange(
        shape,
        points,
        (shape.basis(points) @ shape.coefficients) * _kept(shape, at_bands, change, influences),
        change,
        influences,
        float(shape.of_bands[:, 1].mean()),
        float(np.sqrt(_jackknife(kurtosis))),
    )


def _kept(
    shape: PooledShape,
    at_bands: Float[np.ndarray, "bands terms"],
    change: Float[np.ndarray, "groups terms 2"],
    influences: Float[np.ndarray, "groups 2 samples"],
) -> Float[np.ndarray, "2"]:
    """Fraction of skewness and kurtosis that remains after shrinking."""
    scale = (len(change) - 1) / len(change)
    shared = _jackknife(np.einsum("bt,gtk->gbk", at_bands, change))
    own = np.stack(
        [
            (influences[:, :, band] ** 2).sum(axis=(0, 2)) * scale / len(band) ** 2
            for band in shape.bands
        ]
    )
    smoother = at_bands @ np.linalg.pinv(at_bands)
    shared = np.maximum(shared - smoother**2 @ own, 0).mean(axis=0)
    square = ((at_bands @ shape.coefficients) ** 2).mean(axis=0)
    return np.maximum(0, 1 - shared / np.maximum(square, 1e-12))


def _padded(without: PooledShape, shape: PooledShape) -> Float[np.ndarray, "terms 2"]:
    """Coefficients with as many terms as those of another shape."""
    missing = len(shape.coefficients) - len(without.coefficients)
    if missing < 0:
        return without.coefficients[: len(shape.coefficients)]
    return np.concatenate([without.coefficients, np.zeros((missing, 2))])


def _jackknife(values: Float[np.ndarray, "groups ..."]) -> Float[np.ndarray, "..."] | float:
    number = len(values)
    return ((values - values.mean(axis=0)) ** 2).sum(axis=0) * (number - 1) / number
