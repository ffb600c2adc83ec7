"""Least-squares lines through log variance (y) over log squared bias (x).

Replicate weights count how often each sample enters a replicate; moments are computed for all
replicates at once. Sums over samples give the same moments for several sets of members.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

ReplicateWeights = Float[Tensor, "replicates points"]
Points = Float[Tensor, " points"] | Float[Tensor, "replicates points"]
ROUNDING = 1e-28
"""Largest ratio of the variance of members that agree to rounding to their squared bias."""

EQUAL = 1e-13
"""Largest ratio of the variance of coordinates that are equal to rounding to their mean square."""

Numbers = dict[str, Float[Tensor, " replicates"]]
"""Name of a number -> its value for each row of replicate weights."""


class Cloud(NamedTuple):
    """Means and central second moments of a cloud of points, natural logs."""

    x: Float[Tensor, " replicates"]
    y: Float[Tensor, " replicates"]
    xx: Float[Tensor, " replicates"]
    xy: Float[Tensor, " replicates"]
    yy: Float[Tensor, " replicates"]

    def slope(
        self,
        error_xx: Float[Tensor, " replicates"] | float = 0.0,
        error_xy: Float[Tensor, " replicates"] | float = 0.0,
    ) -> Float[Tensor, " replicates"]:
        """Slope of y on x, without mean moments of errors; NaN where these exceed the cloud's."""
        signal = self.xx - error_xx
        return (self.xy - error_xy) / torch.where(signal > 0, signal, torch.nan)

    def line(self) -> Numbers:
        """Slope and intercept of the least-squares line, and the squared correlation."""
        slope = self.xy / self.xx
        r_squared = self.xy.square() / (self.xx * self.yy)
        return {"slope": slope, "intercept": self.y - slope * self.x, "r_squared": r_squared}


class LineSums(NamedTuple):
    """Sums over the points of each of several sets of members; ranges of samples add up."""

    count: Float[Tensor, " sets"]
    x: Float[Tensor, " sets"]
    y: Float[Tensor, " sets"]
    xx: Float[Tensor, " sets"]
    xy: Float[Tensor, " sets"]
    yy: Float[Tensor, " sets"]

    def cloud(self) -> Cloud:
        """Moments of each set; NaN without points, and zero along an axis where all are equal."""
        x, y, xx, xy, yy = (part / self.count for part in self[1:])
        of_x, of_y = xx - x * x, yy - y * y
        return Cloud(
            x,
            y,
            xx=torch.where(of_x <= EQUAL * xx, 0.0, of_x),
            xy=xy - x * y,
            yy=torch.where(of_y <= EQUAL * yy, 0.0, of_y),
        )


def has_logs(
    bias_sq: Float[Tensor, "*sets samples"], variance: Float[Tensor, "*sets samples"]
) -> Bool[Tensor, "*sets samples"]:
    """Tells where both have a logarithm: not where the variance is the rounding of equal members.

    >>> has_logs(torch.tensor([0.1, 0.1, 0.0]), torch.tensor([0.2, 1e-34, 0.0])).tolist()
    [True, False, False]
    """
    return (bias_sq > 0) & (variance > ROUNDING * bias_sq)


def line_sums(
    x: Float[Tensor, "sets samples"],
    y: Float[Tensor, "sets samples"],
    keep: Bool[Tensor, "sets samples"],
) -> LineSums:
    """Sums over the points of each set that are kept."""
    x, y = (torch.where(keep, values, 0.0) for values in (x, y))
    parts = (keep.double(), x, y, x * x, x * y, y * y)
    return LineSums(*(part.sum(dim=1) for part in parts))


def cloud(x: Points, y: Points, replicate_weights: ReplicateWeights) -> Cloud:
    """Moments of the cloud; NaN for a row of replicate weights that sums to zero."""
    total = replicate_weights.sum(dim=-1)
    mean_x, mean_y = ((replicate_weights * v).sum(dim=-1) / total for v in (x, y))
    dx, dy = x - mean_x.unsqueeze(-1), y - mean_y.unsqueeze(-1)
    weighted_dx = replicate_weights * dx
    return Cloud(
        x=mean_x,
        y=mean_y,
        xx=(weighted_dx * dx).sum(dim=-1) / total,
        xy=(weighted_dx * dy).sum(dim=-1) / total,
        yy=(replicate_weights * dy * dy).sum(dim=-1) / total,
    )


def log_log_line(
    bias_sq: Float[Tensor, " points"],
    variance: Float[Tensor, " points"],
    keep: Bool[Tensor, " points"] | None = None,
    replicate_weights: ReplicateWeights | None = None,
) -> Numbers:
    """Least-squares line through the logs, where both are above zero.

    Args:
        bias_sq: one value per sample.
        variance: one value per sample.
        keep: samples of the cloud, such as the correct ones; all by default.
        replicate_weights: of all samples; one row of ones by default.

    Returns:
        Slope, intercept and r_squared.

    >>> bias_sq = torch.tensor([1e-4, 1e-2, 1.0, 0.0])  # the last sample has no logarithm
    >>> line = log_log_line(bias_sq, 3 * bias_sq**0.5)
    >>> [round(float(line[key]), 3) for key in ("slope", "r_squared")]
    [0.5, 1.0]
    """
    usable = has_logs(bias_sq, variance)
    usable = usable if keep is None else usable & keep
    x, y = bias_sq[usable].log(), variance[usable].log()
    if replicate_weights is None:
        return cloud(x, y, torch.ones_like(x).unsqueeze(0)).line()
    return cloud(x, y, replicate_weights[:, usable]).line()
