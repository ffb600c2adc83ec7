"""Least squares of these M members, as in the paper: log variance on log bias_sq, plug-in values.

Over the samples that the mean of the members gets right. Both axes share the members' errors and
the ceiling variance <= (M-1) bias_sq, which pull the slope towards one; its interval is for the
line that other ensembles of M members have, on other samples. With x and y the two logarithms, dx
and dy their deviations from the mean and e = dy - slope dx, a sample's influence on

    slope       dx e / S_xx
    intercept   e - mean x (its influence on the slope)
    r_squared   (2 slope dx dy - slope² dx² - r_squared dy²) / S_yy
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import Decomposition
from bvalign.analysis.groups import left_out_variance
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance
from bvalign.analysis.slopes.lines import LineSums, cloud, has_logs
from bvalign.analysis.slopes.logit_values import LogErrors

NUMBERS = ("slope", "intercept", "r_squared")
LEAST_MEMBERS, LEAST_POINTS, LEAST_GROUPS = 2, 3, 3


class _Influence(NamedTuple):
    """Of each sample on one number, and what a change of its logarithms does."""

    sample: Float[Tensor, " points"]
    by_x: Float[Tensor, " points"]
    by_y: Float[Tensor, " points"]


def ols(
    values: Decomposition,
    log_errors: LogErrors,
    without: LineSums,
    clusters: Int[Tensor, " samples"] | None = None,
) -> dict[str, Estimate]:
    """Slope, intercept and r_squared of the line.

    Args:
        values: of all samples.
        log_errors: of log bias_sq and log variance.
        without: sums of the same points without each group of members.
        clusters: of the samples; None if they are independent.
    """
    if int(values.count.max()) < LEAST_MEMBERS:
        return _none("needs two members, as one has no variance")
    keep = values.correct & has_logs(values.bias_sq, values.variance)
    number = int(keep.sum())
    if number < LEAST_POINTS:
        return _none(
            f"needs {LEAST_POINTS} correct samples with variance above zero; there are {number}"
        )
    x, y = values.bias_sq[keep].log(), values.variance[keep].log()
    if min(float(v.max() - v.min()) / float(v.abs().max() + 1) for v in (x, y)) < 1e-12:
        return _none("undefined: the values of the correct samples do not vary")
    points = cloud(x, y, torch.ones(1, number, dtype=torch.float64))
    line = {name: float(value) for name, value in points.line().items()}
    errors = LogErrors(*(error[keep] for error in log_errors))
    kept, members = clusters if clusters is None else clusters[keep], without.cloud().line()
    found = {
        name: estimate(line[name], _spread(influence, errors, members[name], kept))
        for name, influence in _influences(x, y, line).items()
    }
    return found | {"r_squared": _inside(found["r_squared"])}


def _influences(
    x: Float[Tensor, " points"], y: Float[Tensor, " points"], line: dict[str, float]
) -> dict[str, _Influence]:
    slope, r_squared, centre = line["slope"], line["r_squared"], float(x.mean())
    dx, dy = x - x.mean(), y - y.mean()
    e, xx, yy = dy - slope * dx, float(dx.square().mean()), float(dy.square().mean())
    of_slope = _Influence(dx * e / xx, (e - slope * dx) / xx, dx / xx)
    return {
        "slope": of_slope,
        "intercept": _Influence(
            e - centre * of_slope.sample,
            -slope - centre * of_slope.by_x,
            1 - centre * of_slope.by_y,
        ),
        "r_squared": _Influence(
            (2 * slope * dx * dy - slope**2 * dx.square() - r_squared * dy.square()) / yy,
            2 * slope * e / yy,
            2 * (slope * dx - r_squared * dy) / yy,
        ),
    }


def _spread(
    influence: _Influence,
    errors: LogErrors,
    members: Float[Tensor, " groups"],
    clusters: Int[Tensor, " points"] | None,
) -> Spread:
    samples, units = samples_variance(influence.sample, clusters)
    if len(members) < LEAST_GROUPS or not bool(members.isfinite().all()):
        return Spread(samples, units)
    _, i, j = influence
    both = i * i * errors.bias_sq + 2 * i * j * errors.covariance + j * j * errors.variance
    # a sample without variance in a smaller ensemble has no logarithm there, so no error
    both = float(both[both.isfinite()].sum()) / len(both) ** 2
    return Spread(samples, units, float(left_out_variance(members)), both, len(members))


def _inside(number: Estimate) -> Estimate:
    """A number that cannot leave [0, 1] but by rounding, with its intervals."""
    value = min(number.value, 1.0)
    ends = (e and (min(max(e[0], 0.0), value), max(min(e[1], 1.0), value)) for e in number[1:4])
    return Estimate(value, *ends, *number[4:])


def _none(reason: str) -> dict[str, Estimate]:
    return dict.fromkeys(NUMBERS, Estimate(None, reason=reason))
