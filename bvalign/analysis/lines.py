"""Slopes of a straight line through a weighted cloud of points, from its second moments.

With S_xx, S_xy, S_yy the weighted central moments of x and y, and e_x, e_y the errors of a point:

    least_squares    S_xy / S_xx             right if x has no error
    reversed         S_yy / S_xy             1 / slope of x on y: right if y has no error
    orthogonal       [d + sqrt(d² + 4 S_xy²)] / (2 S_xy), d = S_yy - S_xx
                                             Deming: right if errors are independent and as large
    corrected        (S_xy - mean cov(e_x, e_y)) / (S_xx - mean var e_x)
                                             right if the errors have mean zero and known covariance

Every function returns one value per row of weights (replicate).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Weights = Float[Tensor, "replicates points"]
Points = Float[Tensor, "#replicates points"] | Float[Tensor, " points"]
Columns = dict[str, Float[Tensor, " replicates"]]
"""One value per replicate for each named number of an estimator."""


class Cloud(NamedTuple):
    """Weighted means and central second moments, natural logs."""

    x: Float[Tensor, " replicates"]
    y: Float[Tensor, " replicates"]
    xx: Float[Tensor, " replicates"]
    xy: Float[Tensor, " replicates"]
    yy: Float[Tensor, " replicates"]

    @property
    def r_squared(self) -> Float[Tensor, " replicates"]:
        return self.xy.square() / (self.xx * self.yy)

    def least_squares(self) -> Float[Tensor, " replicates"]:
        return self.xy / self.xx

    def reversed(self) -> Float[Tensor, " replicates"]:
        return self.yy / self.xy

    def orthogonal(self) -> Float[Tensor, " replicates"]:
        excess = self.yy - self.xx
        return (excess + torch.hypot(excess, 2 * self.xy)) / (2 * self.xy)

    def corrected(
        self, error_xx: Float[Tensor, " replicates"], error_xy: Float[Tensor, " replicates"]
    ) -> Float[Tensor, " replicates"]:
        """NaN where the errors are larger than the spread of the cloud."""
        signal = self.xx - error_xx
        return (self.xy - error_xy) / torch.where(signal > 0, signal, torch.nan)

    def line(self, slope: Float[Tensor, " replicates"]) -> Columns:
        """The line of that slope through the centre of the cloud."""
        return {"slope": slope, "intercept": self.y - slope * self.x, "r_squared": self.r_squared}


def cloud(x: Points, y: Points, weights: Weights) -> Cloud:
    """The moments of the cloud; NaN for a row of weights that sums to zero."""
    total = weights.sum(dim=-1)
    mean_x, mean_y = mean(x, weights), mean(y, weights)
    dx, dy = x - mean_x.unsqueeze(-1), y - mean_y.unsqueeze(-1)
    weighted_dx = weights * dx
    return Cloud(
        x=mean_x,
        y=mean_y,
        xx=(weighted_dx * dx).sum(dim=-1) / total,
        xy=(weighted_dx * dy).sum(dim=-1) / total,
        yy=(weights * dy * dy).sum(dim=-1) / total,
    )


def mean(values: Points, weights: Weights) -> Float[Tensor, " replicates"]:
    """Weighted means."""
    total = weights.sum(dim=-1)
    summed = weights @ values if values.ndim == 1 else (weights * values).sum(dim=-1)
    return summed / total


def covariance(
    x: Float[Tensor, " points"], y: Float[Tensor, " points"], weights: Weights
) -> Float[Tensor, " replicates"]:
    """Weighted covariances without a (replicates, points) array: for many rows of weights."""
    x, y = x - x.mean(), y - y.mean()
    return mean(x * y, weights) - mean(x, weights) * mean(y, weights)
