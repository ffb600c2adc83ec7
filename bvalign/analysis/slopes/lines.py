"""Slopes of a straight line through a weighted cloud of points, from its second moments.

With S_xx, S_xy, S_yy the weighted central moments of x and y, and e_x, e_y the errors of a point:

    least_squares    S_xy / S_xx             right if x has no error
    reversed         S_yy / S_xy             1 / slope of x on y: right if y has no error
    orthogonal       [d + sqrt(d² + 4 S_xy²)] / (2 S_xy), d = S_yy - S_xx
                                             Deming: right if errors are independent, equally large
    corrected        (S_xy - mean cov(e_x, e_y)) / (S_xx - mean var e_x)
                                             right if the errors have mean zero and known covariance

Every function returns one value per row of replicate weights. `log_log_line` is the only
least-squares line of the package: of the callback, `ols`, the collapse model and the experiments.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

ReplicateWeights = Float[Tensor, "replicates points"]
"""Counts of each point in each replicate of a bootstrap."""

Points = Float[Tensor, "#replicates points"] | Float[Tensor, " points"]
Numbers = dict[str, Float[Tensor, " replicates"]]
"""Numbers of an estimator by name, one value per replicate."""


class Cloud(NamedTuple):
    """Weighted means and central second moments, natural logs."""

    x: Float[Tensor, " replicates"]
    y: Float[Tensor, " replicates"]
    xx: Float[Tensor, " replicates"]
    xy: Float[Tensor, " replicates"]
    yy: Float[Tensor, " replicates"]

    @property
    def r_squared(self) -> Float[Tensor, " replicates"]:
        """Squared correlation of x and y."""
        return self.xy.square() / (self.xx * self.yy)

    def least_squares(self) -> Float[Tensor, " replicates"]:
        """Slope of y on x."""
        return self.xy / self.xx

    def reversed(self) -> Float[Tensor, " replicates"]:
        """1 / slope of x on y."""
        return self.yy / self.xy

    def orthogonal(self) -> Float[Tensor, " replicates"]:
        """Slope of least perpendicular distance."""
        excess = self.yy - self.xx
        return (excess + torch.hypot(excess, 2 * self.xy)) / (2 * self.xy)

    def corrected(
        self, error_xx: Float[Tensor, " replicates"], error_xy: Float[Tensor, " replicates"]
    ) -> Float[Tensor, " replicates"]:
        """Slope without the moments of the errors; NaN where they exceed the cloud's own."""
        signal = self.xx - error_xx
        return (self.xy - error_xy) / torch.where(signal > 0, signal, torch.nan)

    def line(self, slope: Float[Tensor, " replicates"]) -> Numbers:
        """Line of that slope through the centre of the cloud."""
        return {"slope": slope, "intercept": self.y - slope * self.x, "r_squared": self.r_squared}


def cloud(x: Points, y: Points, replicate_weights: ReplicateWeights) -> Cloud:
    """Moments of the cloud; NaN for a row of replicate weights that sums to zero."""
    total = replicate_weights.sum(dim=-1)
    mean_x, mean_y = mean(x, replicate_weights), mean(y, replicate_weights)
    dx, dy = x - mean_x.unsqueeze(-1), y - mean_y.unsqueeze(-1)
    weighted_dx = replicate_weights * dx
    return Cloud(
        x=mean_x,
        y=mean_y,
        xx=(weighted_dx * dx).sum(dim=-1) / total,
        xy=(weighted_dx * dy).sum(dim=-1) / total,
        yy=(replicate_weights * dy * dy).sum(dim=-1) / total,
    )


def log_log_cloud(
    bias_sq: Float[Tensor, " points"],
    variance: Float[Tensor, " points"],
    keep: Bool[Tensor, " points"] | None = None,
    replicate_weights: ReplicateWeights | None = None,
) -> Cloud:
    """Moments of log variance (y) over log bias_sq (x), where both are above zero.

    Args:
        bias_sq: one value per sample.
        variance: one value per sample.
        keep: samples of the cloud, such as the correct ones; all by default.
        replicate_weights: of all samples; one row of ones by default.
    """
    usable = (bias_sq > 0) & (variance > 0)
    usable = usable if keep is None else usable & keep
    x, y = bias_sq[usable].log(), variance[usable].log()
    if replicate_weights is None:
        return cloud(x, y, torch.ones_like(x).unsqueeze(0))
    return cloud(x, y, replicate_weights[:, usable])


def log_log_line(
    bias_sq: Float[Tensor, " points"],
    variance: Float[Tensor, " points"],
    keep: Bool[Tensor, " points"] | None = None,
    replicate_weights: ReplicateWeights | None = None,
) -> Numbers:
    """Slope, intercept and r_squared of the least-squares line through `log_log_cloud`.

    >>> bias_sq = torch.tensor([1e-4, 1e-2, 1.0, 0.0])  # the last sample has no logarithm
    >>> line = log_log_line(bias_sq, 3 * bias_sq**0.5)
    >>> [round(float(line[key]), 3) for key in ("slope", "r_squared")]
    [0.5, 1.0]
    """
    moments = log_log_cloud(bias_sq, variance, keep, replicate_weights)
    return moments.line(moments.least_squares())


def mean(values: Points, replicate_weights: ReplicateWeights) -> Float[Tensor, " replicates"]:
    """Weighted means."""
    total = replicate_weights.sum(dim=-1)
    if values.ndim == 1:
        return replicate_weights @ values / total
    return (replicate_weights * values).sum(dim=-1) / total


def average(fits: Sequence[Numbers]) -> Numbers:
    """Means over fits of the same numbers, ignoring NaN."""
    return {key: torch.stack([fit[key] for fit in fits]).nanmean(dim=0) for key in fits[0]}


def covariance(
    x: Float[Tensor, " points"], y: Float[Tensor, " points"], replicate_weights: ReplicateWeights
) -> Float[Tensor, " replicates"]:
    """Weighted covariances without a (replicates, points) array, for many replicates."""
    x, y = x - x.mean(), y - y.mean()
    return mean(x * y, replicate_weights) - mean(x, replicate_weights) * mean(y, replicate_weights)
