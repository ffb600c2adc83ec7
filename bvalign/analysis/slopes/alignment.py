"""Everything that summary.json says of the alignment: fits, a check, and curves over M.

`ols` describes these M members, as in the paper: least squares of log variance on log bias_sq,
plug-in, over the samples that their mean gets right. Both axes share the members' errors and the
ceiling variance <= (M-1) bias_sq, which pull it towards one; its interval is for the slope that
other ensembles of M members have. `logit_slope` is for infinitely many members.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.decompositions import Decomposition
from bvalign.analysis.groups import MemberGroups, left_out_variance
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_variance
from bvalign.analysis.slopes.cross_half import cross_half
from bvalign.analysis.slopes.drawn import SHAPE_MEMBERS, DrawnBlock, OddsBlock, PooledNoise
from bvalign.analysis.slopes.lines import LineSums, cloud, line_sums
from bvalign.analysis.slopes.logit_block import shared_errors
from bvalign.analysis.slopes.logit_slope import LogitSlope
from bvalign.analysis.slopes.logit_values import LogErrors, OddsValues, log_values
from bvalign.analysis.slopes.noise_shape import CentralSums
from bvalign.analysis.slopes.quadrature import LogOdds
from bvalign.analysis.slopes.smaller import Parts

LEAST_POINTS = 3
CHECK = "a check, not a number to quote: no interval"

Row = dict[str, float | int | str | None]


class Alignment(NamedTuple):
    """Fits over the correct samples."""

    logit_slope: LogitSlope
    ols: dict[str, Estimate]  # slope, intercept, r_squared
    cross_half: dict[str, Estimate]  # slope, intercept
    curve: list[Row]  # one row per size, estimator and number
    num_correct: int
    dropped: dict[str, int]  # reason -> correct samples without a logarithm, in `ols`


def ols(
    values: Decomposition,
    log_errors: LogErrors,
    without: LineSums,
    clusters: Int[Tensor, " samples"] | None = None,
) -> dict[str, Estimate]:
    """Least squares over the correct samples of these members.

    Args:
        values: of all samples.
        log_errors: of log bias_sq and log variance.
        without: sums of the same points without each group of members.
        clusters: of the samples; None if they are independent.
    """
    keep = values.correct & (values.bias_sq > 0) & (values.variance > 0)
    number = int(keep.sum())
    if number < LEAST_POINTS:
        reason = (
            f"needs {LEAST_POINTS} correct samples with variance above zero; there are {number}"
        )
        return dict.fromkeys(("slope", "intercept", "r_squared"), Estimate(None, reason=reason))
    x, y = values.bias_sq[keep].log(), values.variance[keep].log()
    if float(x.max() - x.min()) < 1e-12 * float(x.abs().max() + 1):
        reason = "undefined: the squared bias of the correct samples does not vary"
        return dict.fromkeys(("slope", "intercept", "r_squared"), Estimate(None, reason=reason))
    points = cloud(x, y, torch.ones(1, number, dtype=torch.float64))
    line = {name: float(value) for name, value in points.line().items()}
    members, groups = without.cloud().line(), len(without.count)
    slope, xx, yy = line["slope"], float(points.xx), float(points.yy)
    dx, dy = x - x.mean(), y - y.mean()
    e = dy - slope * dx
    influence = {
        "slope": dx * e / xx,
        "intercept": e - float(points.x) * dx * e / xx,
        "r_squared": 2 * slope * dx * dy / yy
        - slope**2 * dx.square() / yy
        - line["r_squared"] * dy.square() / yy,
    }
    # what a change of one sample's logarithms does to each number
    by_x, by_y = (e - slope * dx) / xx, dx / xx
    change = {
        "slope": (by_x, by_y),
        "intercept": (-slope - float(points.x) * by_x, 1 - float(points.x) * by_y),
        "r_squared": (2 * slope * e / yy, 2 * (slope * dx - line["r_squared"] * dy) / yy),
    }
    own, found = clusters if clusters is None else clusters[keep], {}
    bias, variance, covariance = (error[keep] for error in log_errors)
    for name, value in line.items():
        i, j = change[name]
        both = float((i * i * bias + 2 * i * j * covariance + j * j * variance).mean()) / number
        samples, units = samples_variance(influence[name], own)
        known = groups >= 3 and bool(members[name].isfinite().all())
        spread = Spread(
            samples,
            units,
            float(left_out_variance(members[name])) if known else None,
            both if known else 0.0,
            groups,
        )
        found[name] = estimate(value, spread)
    return found


def check(parts: Parts, num_members: int) -> dict[str, Estimate]:
    """`cross_half` of the drawn samples, without intervals."""
    if not len(parts.bias_sq):
        reason = f"needs six members, three parts of two; there are {num_members}"
        return dict.fromkeys(("slope", "intercept"), Estimate(None, reason=reason))
    slope, intercept = cross_half(*parts)
    if slope != slope:
        none = Estimate(None, reason="needs 30 correct samples whose values vary")
        return {"slope": none, "intercept": none}
    return {
        "slope": Estimate(slope, reason=CHECK),
        "intercept": Estimate(intercept, reason=CHECK),
    }


def curve(
    drawn: DrawnBlock,
    noise: PooledNoise | None,
    errors: LogErrors | None,
    groups: MemberGroups,
) -> Iterator[Row]:
    """Rows of each number over the number of members, from disjoint smaller ensembles.

    Those of `logit_slope` have no jackknife correction, and begin with five members.

    Args:
        drawn: values of the drawn samples.
        noise: pooled from them; None with fewer than three members.
        errors: of all members' logarithms on the drawn samples, NaN outside the fit; None likewise.
        groups: of the members.
    """
    smaller, number = drawn.smaller, drawn.parts.bias_sq.shape[-1]
    sizes = torch.tensor(groups.sizes)
    members = torch.cat([groups.smaller.long() @ sizes, sizes.sum().unsqueeze(0)])
    units = torch.cat([groups.smaller.sum(dim=1), torch.tensor([len(sizes)])])
    line = smaller.line.cloud().line()
    usable = smaller.line.count >= LEAST_POINTS
    values: dict[tuple[str, str], Tensor] = {
        ("mean", "bias_sq"): smaller.bias_sq / number,
        ("mean", "error"): smaller.error / number,
        ("mean", "variance"): smaller.variance / number,
        ("ols", "slope"): torch.where(usable, line["slope"], torch.nan),
        ("ols", "r_squared"): torch.where(usable, line["r_squared"], torch.nan),
    }
    if noise is not None and drawn.odds is not None and errors is not None:
        fits = _smaller_slopes(drawn.odds, noise, errors, groups, members[:-1])
        values |= {("logit_slope", name): fit for name, fit in fits.items()}
    for unit in units.unique().tolist():
        rows = torch.nonzero(units == unit).flatten()
        size = round(float(members[rows].double().mean()))
        for (name, number_name), of_sets in values.items():
            kept = of_sets[rows[rows < len(of_sets)]]
            kept = kept[kept.isfinite()]
            if len(kept):
                yield row(name, number_name, size, kept)


def _smaller_slopes(
    odds: OddsBlock,
    noise: PooledNoise,
    errors: LogErrors,
    groups: MemberGroups,
    members: Int[Tensor, " ensembles"],
) -> dict[str, Float[Tensor, " ensembles"]]:
    """Population slope and offset of each smaller ensemble; NaN below five members."""
    few = slice(1 + len(groups.members), None)
    m = members.double().unsqueeze(1)
    sd = (odds.second[few].clamp(min=1e-300) / (m - 1)).sqrt()
    shares = odds.bias_share, odds.variance_share
    sums = CentralSums(odds.second[few], odds.third[few], odds.fourth[few])
    values = OddsValues(LogOdds(odds.mu[few], sd), sums, *shares, odds.usable[few])
    cloud_sums = line_sums(*log_values(values, noise.table.of_sets(few)), values.usable)
    clouds, shared = cloud_sums.cloud(), shared_errors(errors, odds.usable[0], values.usable)
    grown = sum(groups.sizes) / members.double() / shared.count
    known = (members >= SHAPE_MEMBERS) & (cloud_sums.count >= LEAST_POINTS)
    fits = {
        "slope": clouds.slope(grown * shared.xx, grown * shared.xy),
        "offset": clouds.y - clouds.x,
    }
    return {name: torch.where(known, fit, torch.nan) for name, fit in fits.items()}


def row(estimator: str, number: str, members: int, values: Float[Tensor, " ensembles"]) -> Row:
    """One row: mean and standard deviation over disjoint ensembles of one size."""
    return {
        "estimator": estimator,
        "number": number,
        "members": members,
        "mean": float(values.mean()),
        "spread": float(values.std()) if len(values) > 1 else None,
        "draws": len(values),
    }
