"""Everything that summary.json says of the alignment: fits, a check, and curves over M.

`logit_slope` is for infinitely many members and samples, `ols` and `cross_half` describe these.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.groups import MemberGroups
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.slopes.cross_half import cross_half
from bvalign.analysis.slopes.drawn import LEAST_MEMBERS, DrawnBlock, OddsBlock
from bvalign.analysis.slopes.lines import line_sums
from bvalign.analysis.slopes.logit_block import shared_errors
from bvalign.analysis.slopes.logit_slope import LogitSlope
from bvalign.analysis.slopes.logit_values import LogErrors, OddsValues, log_values
from bvalign.analysis.slopes.noise_pooling import PooledNoise
from bvalign.analysis.slopes.noise_shape import CentralSums
from bvalign.analysis.slopes.ols import LEAST_POINTS
from bvalign.analysis.slopes.quadrature import LogOdds
from bvalign.analysis.slopes.smaller import Parts

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
    found: LogitSlope,
) -> Iterator[Row]:
    """Rows of each number over the number of members, from disjoint smaller ensembles.

    Those of `logit_slope` have the shape of the noise of all M members and begin with six members:
    each ensemble of m is corrected for a bias in 1/(m-1) by its two halves.

    Args:
        drawn: values of the drawn samples.
        noise: pooled from them; None with fewer than three members.
        errors: of all members' logarithms on the drawn samples, NaN outside the fit; None likewise.
        groups: of the members.
        found: population slope of all members.
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
        for name, whole in (("slope", found.slope), ("offset", found.offset)):
            value = math.nan if whole.value is None else whole.value
            values["logit_slope", name] = torch.cat([fits[name], fits[name].new_tensor([value])])
    for unit in units.unique().tolist():
        rows = torch.nonzero(units == unit).flatten()
        for (name, number_name), of_sets in values.items():
            kept = rows[of_sets[rows].isfinite()]
            if len(kept):
                yield _row(name, number_name, members[kept], of_sets[kept])


def _smaller_slopes(
    odds: OddsBlock,
    noise: PooledNoise,
    errors: LogErrors,
    groups: MemberGroups,
    members: Int[Tensor, " ensembles"],
) -> dict[str, Float[Tensor, " ensembles"]]:
    """Population slope and offset of each smaller ensemble; NaN where a half has two members."""
    few = slice(1 + len(groups.members), None)
    m = members.double().unsqueeze(1)
    sd = (odds.second[few].clamp(min=1e-300) / (m - 1)).sqrt()
    shares = odds.bias_share, odds.variance_share
    sums = CentralSums(odds.second[few], odds.third[few], odds.fourth[few])
    values = OddsValues(LogOdds(odds.mu[few], sd), sums, *shares, odds.usable[few])
    cloud_sums = line_sums(*log_values(values, noise.table.repeated(len(members))), values.usable)
    clouds, shared = cloud_sums.cloud(), shared_errors(errors, odds.usable[0], values.usable)
    grown = sum(groups.sizes) / members.double() / shared.count
    fits = {
        "slope": clouds.slope(grown * shared.xx, grown * shared.xy),
        "offset": clouds.y - clouds.x,
    }
    known = (members >= LEAST_MEMBERS) & (cloud_sums.count >= LEAST_POINTS)
    return {
        name: _by_halves(torch.where(known, fit, torch.nan), groups, members)
        for name, fit in fits.items()
    }


def _by_halves(
    values: Float[Tensor, " ensembles"],
    groups: MemberGroups,
    members: Int[Tensor, " ensembles"],
) -> Float[Tensor, " ensembles"]:
    """Values less a bias in 1/(m-1), from each ensemble and its two halves; NaN without them."""
    size = groups.smaller.sum(dim=1)
    inside = (groups.smaller.double() @ (~groups.smaller).double().T) == 0  # row within column
    halves = inside & (2 * size.unsqueeze(1) == size)

    def of_halves(numbers: Tensor) -> Tensor:
        return torch.where(halves, numbers.unsqueeze(1), 0.0).sum(dim=0) / halves.sum(dim=0)

    bias = 1 / (members - 1).double()
    return values - bias * (of_halves(values) - values) / (of_halves(bias) - bias)


def _row(
    estimator: str,
    number: str,
    members: Int[Tensor, " ensembles"],
    values: Float[Tensor, " ensembles"],
) -> Row:
    """One row: mean and standard deviation over disjoint ensembles of about one size."""
    return {
        "estimator": estimator,
        "number": number,
        "members": round(float(members.double().mean())),
        "mean": float(values.mean()),
        "spread": float(values.std()) if len(values) > 1 else None,
        "draws": len(values),
    }
