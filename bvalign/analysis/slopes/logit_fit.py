"""Slope and offset with their intervals, from the log bias_sq and log variance of each sample.

x and y are log b and log v of each sample by `logit_values.py`, C_xx, C_xy, C_yy the covariance of
their errors over members:

    slope = (S_xy - mean C_xy) / (S_xx - mean C_xx)          offset = mean (y - x)

less the jackknife estimate of the bias that remains (curvature of the logarithms, and which samples
count as correct), over groups of members at a fixed shape of the noise. It is taken to fall with
1/(M-1), the degrees of freedom of a standard deviation.

Intervals. Variance over samples by the influence values

    slope    (dx e - C_xy + slope C_xx) / (S_xx - mean C_xx)
    offset   (y - x) - offset                      with e the residual of y, dx = x - mean x

with the sums in them corrected by the jackknife, sample by sample; over members by the jackknife,
what both count by C_xx, C_xy and C_yy, and the parts of the shape (`shape_part.py`). The interval
is stretched to the same one around the estimate with exponential tails, and with one wrong class
for all that no member has shown. With three and four members the shape is taken as Gaussian, and
the interval also holds the one around the estimate with a bias that falls with 1/M.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.groups import MemberGroups, left_out_variance
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance, stretched
from bvalign.analysis.slopes.drawn import OddsBlock
from bvalign.analysis.slopes.flags import Evidence
from bvalign.analysis.slopes.lines import Cloud
from bvalign.analysis.slopes.logit_block import LogitBlock, correction
from bvalign.analysis.slopes.noise_pooling import PooledNoise
from bvalign.analysis.slopes.shape_part import ShapePart, log_gradients, shape_part
from bvalign.analysis.slopes.wrong_logits import Skewness


class FirstPass(NamedTuple):
    """What the first pass knows."""

    groups: MemberGroups
    positions: Int[Tensor, " drawn"]  # of the drawn samples
    odds: OddsBlock | None  # None with fewer than three members
    noise: PooledNoise | None  # likewise
    skewness: Skewness


class Number(NamedTuple):
    """One of slope and offset, before its interval."""

    raw: float
    without: Float[Tensor, " groups"]  # at the shape of all members
    influence: Float[Tensor, " samples"]  # of all samples, also those outside the fit
    both: Float[Tensor, " samples"]  # squared error over members of each sample's part
    by_level: tuple[Tensor, Tensor]  # derivative by each sample's x and y, times their number
    shifts: tuple[float, float]  # with exponential tails; with one wrong class for rare members


class LogitFit:
    """Moments of the cloud, and the numbers from them.

    Args:
        block: of all samples.
        first: of the first pass.
        used: samples in the fit.
        clusters: of the samples; None if they are independent.
    """

    def __init__(
        self,
        block: LogitBlock,
        first: FirstPass,
        used: Bool[Tensor, " samples"],
        clusters: Int[Tensor, " samples"] | None,
    ) -> None:
        self.block, self.first, self.used = block, first, used
        self.clusters = clusters
        sizes = torch.tensor(first.groups.sizes, dtype=torch.float64)
        self.num_members, self.num_groups = int(sizes.sum()), len(sizes)
        # errors are larger without a group
        self.grown = self.num_members / (self.num_members - sizes)
        self.x, self.y = block.log_bias_sq[used], block.log_variance[used]
        self.xx, self.yy, self.xy = (error[used] for error in block.errors)
        self.dx, self.dy = self.x - self.x.mean(), self.y - self.y.mean()
        self.total = float(self.dx.square().mean())
        self.signal = self.total - float(self.xx.mean())
        self.shape = self._shape_parts(clusters)

    def estimate(self, number: Number) -> Estimate:
        """The number without its bias, with intervals for what these members show."""
        return estimate(number.raw + self.correction(number), self._variances(number))

    def stretched(self, found: Estimate, number: Number) -> Estimate:
        """The estimate with intervals that also hold what no member has shown."""
        tail, one_class = (0.0 if math.isnan(shift) else shift for shift in number.shifts)
        if self.first.noise.change is None:  # a Gaussian shape is assumed
            pull, further = one_class, number.raw - float(number.without.mean())
        else:
            pull, further = tail + one_class, 0.0
        return stretched(
            found, min(pull, 0.0) + min(further, 0.0), max(pull, 0.0) + max(further, 0.0)
        )

    def evidence(self, numbers: Sequence[Number], found: Sequence[Estimate]) -> Evidence:
        """What the flags look at.

        Args:
            numbers: slope and offset.
            found: their estimates, before they are stretched.
        """
        return Evidence(
            half_widths=tuple(_half_width(number) for number in found),
            tail_shifts=tuple(number.shifts[0] for number in numbers),
            change=self.first.noise.change,
            unseen=float(self.block.rare) / len(self.x),
            reliability=self.signal / self.total if self.total else 0.0,
            skewness=self.first.skewness,
            saturated=int(self.block.saturated),
            samples=len(self.x),
        )

    def intercept(self, slope: Estimate, offset: Estimate) -> float:
        """Intercept of the line of that slope and offset, the mean of y - x."""
        return offset.value + (1 - slope.value) * float(self.x.mean())

    def slope(self) -> Number | None:
        """The slope and what determines its interval.

        None where the errors of the members exceed the spread of log b, also without some of them.
        """
        block, errors = self.block, (float(self.xx.mean()), float(self.xy.mean()))
        grown = self.grown / block.shared.count
        without = block.without.cloud().slope(grown * block.shared.xx, grown * block.shared.xy)
        if self.signal <= 0 or not bool(without.isfinite().all()):
            return None
        raw = (float((self.dx * self.dy).mean()) - errors[1]) / self.signal
        e = self.dy - raw * self.dx
        across, along = self.xy - raw * self.xx, self.yy - 2 * raw * self.xy + raw**2 * self.xx
        both = self.dx.square() * along + 2 * self.dx * e * across + e.square() * self.xx
        clouds = (block.heavy.cloud(), block.one_class.cloud())
        return Number(
            raw,
            without,
            self.block.terms @ self._slope_weights(raw),
            both / self.signal**2,
            ((e - raw * self.dx) / self.signal, self.dx / self.signal),
            tuple(float(cloud.slope(*errors)) - raw for cloud in clouds),
        )

    def offset(self) -> Number:
        """The offset and what determines its interval."""
        block, raw, one = self.block, float((self.y - self.x).mean()), torch.ones_like(self.x)
        return Number(
            raw,
            _offsets(block.without.cloud()),
            self.block.terms @ torch.tensor([-raw, -1.0, 1.0, 0.0, 0.0], dtype=torch.float64),
            self.xx + self.yy - 2 * self.xy,
            (-one, one),
            tuple(float(_offsets(c.cloud())) - raw for c in (block.heavy, block.one_class)),
        )

    def _slope_weights(self, slope: float) -> Float[Tensor, " terms"]:
        """Of the terms 1, x, y, x² - C_xx, xy - C_xy in (x - mean x) e - C_xy + slope C_xx."""
        x, y = float(self.x.mean()), float(self.y.mean())
        level = y - slope * x
        weights = [x * level, slope * x - level, -x, -slope, 1.0]
        return torch.tensor(weights, dtype=torch.float64) / self.signal

    def correction(self, number: Number) -> float:
        """What the jackknife adds to the number."""
        return -correction(self.first.groups) * (float(number.without.mean()) - number.raw)

    def _variances(self, number: Number) -> Spread:
        samples, units = samples_variance(number.influence, self.clusters)
        samples *= (len(self.used) / len(self.x)) ** 2  # the mean is over samples in the fit
        both, members = float(number.both.mean()) / len(self.x), number.without
        if self.shape is not None:
            part = self.shape(number)
            samples, both, members = (
                samples + part.samples,
                both + part.both,
                members + part.members,
            )
        return Spread(samples, units, float(left_out_variance(members)), both, self.num_groups)

    def _shape_parts(self, clusters: Tensor | None) -> Callable[[Number], ShapePart] | None:
        """The part of the shape in each number; None where the shape is assumed."""
        change, odds, positions = self.first.noise.change, self.first.odds, self.first.positions
        if change is None:
            return None
        drawn = torch.full((len(self.used),), -1, dtype=torch.int64)
        drawn[self.used] = torch.arange(len(self.x))
        rows = drawn[positions[odds.usable[0]]]
        by = log_gradients(odds, change, odds.usable[0], self.num_members)
        own = None if clusters is None else clusters[positions[odds.usable[0]]]

        def part(number: Number) -> ShapePart:
            # a sample of the shape whose variance underflows is not in the fit
            i, j = (torch.where(rows < 0, 0.0, level[rows]) for level in number.by_level)
            return shape_part(change, i * by.bias_sq + j * by.variance, by.basis, own)

        return part

    def spread(self) -> Estimate:
        """Standard deviation of log variance - log bias_sq, less the mean error of members."""
        difference, error = self.dy - self.dx, self.xx + self.yy - 2 * self.xy
        squares = difference.square() - error
        variance = float(squares.mean())
        if variance <= 0:
            return Estimate(None, reason="the samples differ less than the errors of the members")
        clouds = self.block.without.cloud()
        own = clouds.xx + clouds.yy - 2 * clouds.xy - self.grown * float(error.mean())
        own_clusters = None if self.clusters is None else self.clusters[self.used]
        samples, units = samples_variance(squares, own_clusters)
        both = float((4 * difference.square() * error).mean()) / len(self.x)
        members, scale = float(left_out_variance(own)), 4 * variance
        spread = Spread(samples / scale, units, members / scale, both / scale, self.num_groups)
        return estimate(math.sqrt(variance), spread)


def _offsets(clouds: Cloud) -> Float[Tensor, " sets"]:
    return clouds.y - clouds.x


def _half_width(number: Estimate) -> float:
    return math.inf if number.interval is None else (number.interval[1] - number.interval[0]) / 2
