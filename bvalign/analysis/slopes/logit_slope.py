"""The population slope and offset of log variance on log squared bias: the numbers to quote.

Target. With members drawn from a distribution of which these are M, and samples from one of which
these are N, let b = ‖E p - e_y‖² and v = E ‖p - E p‖² for each sample that E p gets right. Then

    slope    Cov(log v, log b) / Var(log b)        the paper's least-squares slope, at infinite M, N
    offset   E (log v - log b)                     so variance is about e^offset times squared bias

Estimate. x and y are log b and log v of each sample by `logit_values.py`, C_xx, C_xy the covariance
of their errors over members:

    slope = (S_xy - mean C_xy) / (S_xx - mean C_xx)

less the jackknife estimate, over groups of members at a fixed shape of the noise, of the bias that
remains (curvature of the logarithms, and which samples count as correct).

Intervals. Variance over samples by the influence values

    slope    (dx e - (C_xy - mean C_xy) + slope (C_xx - mean C_xx)) / (S_xx - mean C_xx)
    offset   (y - x) - offset                      with e the residual of y, dx = x - mean x

over members by the jackknife of everything, the shape included, and what both count (`two_way.py`).
The interval is stretched to the same one around the estimate with exponential tails.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bvalign.analysis.groups import MemberGroups, left_out_variance
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance
from bvalign.analysis.slopes.drawn import (
    LEAST_SAMPLES,
    SHAPE_MEMBERS,
    PooledNoise,
    set_sizes,
)
from bvalign.analysis.slopes.lines import Cloud
from bvalign.analysis.slopes.logit_block import LogitBlock
from bvalign.analysis.slopes.wrong_logits import Skewness

FLAGS = {
    "tail_dependent": "the answer hangs on tails of the noise that no member has shown: with "
    "exponential tails it moves by more than its interval",
    "tails_unknown": "no distribution with exponential tails fits the noise, so how much hangs on "
    "them is unknown",
    "heavy_tails": "the noise has heavier tails than exponential: no population slope is claimed",
    "unseen_members": "more than 15% of the squared label residual comes from members rarer than "
    "any of these",
    "alike_margins": "the samples are too alike for so few members: less than 85% of the spread of "
    "log squared bias is theirs",
    "asymmetric_logits": "the logits of wrong classes are skewed, which hides the upper tail that "
    "sets the variance of easy samples",
    "saturated": "more than 5% of the correct samples are left out: a member gives them a "
    "probability of exactly 0 or 1, or all members the same one",
}
"""Reasons not to quote the slope."""

MOST_UNSEEN, LEAST_RELIABILITY, MOST_KURTOSIS, MOST_SATURATED = 0.15, 0.85, 3.0, 0.05
MOST_SKEWNESS = 0.1


class LogitSlope(NamedTuple):
    """Population slope and offset with intervals, and reasons not to quote them."""

    slope: Estimate
    offset: Estimate
    spread: Estimate  # standard deviation of log v - log b over samples, without members' errors
    intercept: float | None
    flags: tuple[str, ...]  # keys of FLAGS
    samples: int  # in the fit
    slope_influence: Float[Tensor, " samples"]  # zero for samples outside the fit
    offset_influence: Float[Tensor, " samples"]

    @property
    def quotable(self) -> bool:
        """Whether there is a slope and no reason against it."""
        return self.slope.value is not None and not self.flags


def fit_logit_slope(
    block: LogitBlock | None,
    noise: PooledNoise | None,
    groups: MemberGroups,
    skewness: Skewness,
    clusters: Int[Tensor, " samples"] | None = None,
) -> LogitSlope:
    """Fits slope and offset to the values and sums of all samples.

    Args:
        block: of all samples; None with fewer than three members.
        noise: shapes of the first pass; None like the block.
        groups: of the members.
        skewness: of the logits of wrong classes.
        clusters: of the samples; None if they are independent.
    """
    num_members = sum(groups.sizes)
    if block is None or noise is None:
        return undefined(f"needs three members; there are {num_members}", torch.empty(0))
    used = block.log_bias_sq.isfinite()
    number = int(used.sum())
    if number < LEAST_SAMPLES:
        saturated = int(block.saturated)
        why = f" ({saturated} others are saturated)" if saturated else ""
        return undefined(
            f"needs {LEAST_SAMPLES} correct samples whose members all give probabilities between 0 "
            f"and 1 that differ; there are {number}{why}",
            torch.zeros(len(used)),
        )
    return _Fit(block, noise, groups, used, clusters).result(skewness)


def undefined(reason: str, influence: Float[Tensor, " samples"]) -> LogitSlope:
    """No slope, for a reason."""
    none = Estimate(None, reason=reason)
    return LogitSlope(none, none, none, None, (), 0, influence, influence)


class _Fit:
    """Moments of the cloud, shared by the three numbers."""

    def __init__(
        self,
        block: LogitBlock,
        noise: PooledNoise,
        groups: MemberGroups,
        used: Bool[Tensor, " samples"],
        clusters: Int[Tensor, " samples"] | None,
    ) -> None:
        self.block, self.noise, self.used = block, noise, used
        self.clusters = None if clusters is None else clusters[used]
        self.num_members, self.num_groups = sum(groups.sizes), len(groups.members)
        sizes = set_sizes(groups)[1 : self.num_groups + 1]
        self.grown = self.num_members / sizes.double()  # of errors, without a group
        self.x, self.y = block.log_bias_sq[used], block.log_variance[used]
        self.xx, self.yy, self.xy = (error[used] for error in block.errors)
        self.dx, self.dy = self.x - self.x.mean(), self.y - self.y.mean()
        self.signal = float(self.dx.square().mean() - self.xx.mean())
        self.total = float(self.dx.square().mean())

    def result(self, skewness: Skewness) -> LogitSlope:
        slope, influence, slope_shift = self._slope()
        offset, offset_influence, offset_shift = self._offset()
        flags = self._flags(skewness, (slope, slope_shift), (offset, offset_shift))
        intercept = None
        if slope.value is not None:
            intercept = float(self.y.mean() - slope.value * self.x.mean())
        return LogitSlope(
            _stretched(slope, slope_shift),
            _stretched(offset, offset_shift),
            self._spread(),
            intercept,
            flags,
            len(self.x),
            self._scattered(influence),
            self._scattered(offset_influence),
        )

    def _slope(self) -> tuple[Estimate, Tensor, float]:
        block = self.block
        if self.signal <= 0:
            none = Estimate(None, reason="the samples differ less than the errors of the members")
            return none, torch.zeros_like(self.x), 0.0
        raw = float((self.dx * self.dy).mean() - self.xy.mean()) / self.signal
        own, fixed = (_slopes(c.cloud(), self._errors()) for c in (block.own, block.fixed))
        slope = raw - (self.num_groups - 1) * (float(fixed.mean()) - raw)
        e = self.dy - slope * self.dx
        errors = (self.xy - self.xy.mean()) - slope * (self.xx - self.xx.mean())
        influence = (self.dx * e - errors) / self.signal
        across = self.xy - slope * self.xx
        along = self.yy - 2 * slope * self.xy + slope**2 * self.xx
        both = self.dx.square() * along + 2 * self.dx * e * across + e.square() * self.xx
        spread = self._variances(influence, own, both / self.signal**2)
        heavy = float(block.heavy.cloud().slope(self.xx.mean(), self.xy.mean()))
        return estimate(slope, spread), influence, heavy - raw

    def _offset(self) -> tuple[Estimate, Tensor, float]:
        own, fixed = (c.cloud().y - c.cloud().x for c in (self.block.own, self.block.fixed))
        raw = float((self.y - self.x).mean())
        offset = raw - (self.num_groups - 1) * (float(fixed.mean()) - raw)
        influence = (self.y - self.x) - raw
        spread = self._variances(influence, own, self.xx + self.yy - 2 * self.xy)
        heavy = self.block.heavy.cloud()
        return estimate(offset, spread), influence, float(heavy.y - heavy.x) - raw

    def _spread(self) -> Estimate:
        """Standard deviation of log variance - log bias_sq, less the mean error of members."""
        difference = self.dy - self.dx
        error = self.xx + self.yy - 2 * self.xy
        squares = difference.square() - error
        variance = float(squares.mean())
        if variance <= 0:
            return Estimate(None, reason="the samples differ less than the errors of the members")
        clouds = self.block.own.cloud()
        own = clouds.xx + clouds.yy - 2 * clouds.xy - self.grown * float(error.mean())
        samples, units = samples_variance(squares, self.clusters)
        both = 4 * difference.square() * error
        spread = Spread(
            samples / (4 * variance),
            units,
            float(left_out_variance(own)) / (4 * variance),
            float(both.mean()) / len(self.x) / (4 * variance),
            self.num_groups,
        )
        return estimate(math.sqrt(variance), spread)

    def _errors(self) -> tuple[Tensor, Tensor]:
        """Mean errors of log b, and their covariance, without each group."""
        shared = self.block.shared
        return self.grown * shared.xx / shared.count, self.grown * shared.xy / shared.count

    def _variances(self, influence: Tensor, own: Tensor, both: Tensor) -> Spread:
        samples, units = samples_variance(influence, self.clusters)
        members = float(left_out_variance(own))
        return Spread(samples, units, members, float(both.mean()) / len(self.x), self.num_groups)

    def _flags(self, skewness: Skewness, *estimates: tuple[Estimate, float]) -> tuple[str, ...]:
        number, shapes = len(self.x), self.noise.shapes
        kurtoses = torch.tensor([s.kurtosis for s in shapes[1 : self.num_groups + 1]])
        kurtosis_error = float(left_out_variance(kurtoses.double())) ** 0.5
        assumed = self.num_members < SHAPE_MEMBERS
        shifts = [shift for _, shift in estimates]
        saturated = int(self.block.saturated)
        found = {
            "tail_dependent": any(_exceeds(*pair) for pair in estimates) and not assumed,
            "tails_unknown": not all(map(math.isfinite, shifts)),
            "heavy_tails": shapes[0].kurtosis - 2 * kurtosis_error > MOST_KURTOSIS,
            "unseen_members": float(self.block.rare) / number > MOST_UNSEEN,
            "alike_margins": self.signal / self.total < LEAST_RELIABILITY,
            "asymmetric_logits": abs(skewness.value) - 2 * skewness.standard_error > MOST_SKEWNESS,
            "saturated": saturated > MOST_SATURATED * (number + saturated),
        }
        return tuple(name for name in FLAGS if found[name])

    def _scattered(self, influence: Tensor) -> Tensor:
        result = influence.new_zeros(len(self.used))
        result[self.used] = influence
        return result


def _slopes(clouds: Cloud, errors: tuple[Tensor, Tensor]) -> Float[Tensor, " sets"]:
    return clouds.slope(*errors)


def _exceeds(number: Estimate, shift: float) -> bool:
    if number.interval is None:
        return False
    return abs(shift) > (number.interval[1] - number.interval[0]) / 2


def _stretched(number: Estimate, shift: float) -> Estimate:
    """Extends the intervals over members to hold the same ones around the other estimate."""
    if number.value is None or not math.isfinite(shift):
        return number

    def stretched(ends: tuple[float, float] | None) -> tuple[float, float] | None:
        return ends and (ends[0] + min(shift, 0.0), ends[1] + max(shift, 0.0))

    return number._replace(
        interval=stretched(number.interval), interval_members=stretched(number.interval_members)
    )
