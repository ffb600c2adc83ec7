"""Mean squared loss of the mean of m members: noise + bias² + variance / m, for any m.

Both terms have unbiased means over all samples (THEORY: risk of the mean of m independent members
is that of infinitely many plus variance / m), so nothing is extrapolated, and the interval is that
of a mean: risk - (1 - 1/m) variance, sample by sample. This is also the Brier score of the mean.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.groups import MemberPart, left_out_variance
from bvalign.analysis.intervals import Estimate, Spread, estimate, samples_covariance


class RiskCurve(NamedTuple):
    """Means of risk of a member and unbiased variance, with what their variances are made of."""

    means: Float[Tensor, " 2"]
    samples: Float[Tensor, "2 2"]  # V_s
    units: int
    without: Float[Tensor, "groups 2"]  # the means without each group of members
    both: Float[Tensor, "2 2"]  # V_b

    @property
    def defined(self) -> bool:
        """Whether there is a variance; a single member has none."""
        return bool(self.means.isfinite().all())

    def at(self, size: int | float) -> Estimate:
        """Risk of the mean of so many members; `math.inf` for infinitely many."""
        return self._estimate(_pair(1.0, 1 / size - 1), "positive")

    def change(self, old: int | float, new: int | float) -> Estimate:
        """The risk at the new size minus that at the old one."""
        return self._estimate(_pair(0.0, 1 / new - 1 / old), "real")

    def bias_share(self, size: int | float) -> Estimate:
        """Fraction of the risk that no number of members takes away; of soft labels, with noise.

        A ratio of means, whose variances are those of its linear part.
        """
        part, whole = self.at(float("inf")).value, self.at(size).value
        if not part or not whole:
            return Estimate(None, reason="no risk, or none without variance")
        share = part / whole
        spread = self._spread((_pair(1.0, -1.0) - share * _pair(1.0, 1 / size - 1)) / whole)
        return estimate(min(share, 1.0), spread, "proportion")

    def _estimate(self, weights: Float[Tensor, " 2"], kind: str) -> Estimate:
        value = float(weights @ self.means)
        return estimate(
            max(value, 0.0) if kind == "positive" else value, self._spread(weights), kind
        )

    def _spread(self, weights: Float[Tensor, " 2"]) -> Spread:
        samples, both = (float(weights @ part @ weights) for part in (self.samples, self.both))
        if not len(self.without):
            return Spread(samples, self.units)
        members = float(left_out_variance(self.without @ weights))
        return Spread(samples, self.units, members, both, len(self.without))


def _pair(risk: float, variance: float) -> Float[Tensor, " 2"]:
    return torch.tensor([risk, variance], dtype=torch.float64)


def risk_curve(
    risk: Float[Tensor, " samples"],
    variance_unbiased: Float[Tensor, " samples"],
    members: MemberPart,
    clusters: Int[Tensor, " samples"] | None,
) -> RiskCurve:
    """The curve through the means of all samples.

    Args:
        risk: of a member, with label noise.
        variance_unbiased: of the same samples.
        members: what the members add to means, also to those of `bias_sq_unbiased`.
        clusters: of the samples; None if they are independent.
    """
    values = torch.stack([risk, variance_unbiased])
    samples, units = samples_covariance(values, clusters)
    found = [members.without(name) for name in ("risk", "variance_unbiased", "bias_sq_unbiased")]
    whole, variance, bias = (both for _, both in found)
    shared = (whole + variance - bias) / 2  # as bias² is their difference
    return RiskCurve(
        values.mean(dim=1),
        samples,
        units,
        torch.stack([totals for totals, _ in found[:2]], dim=1),
        torch.tensor([[whole, shared], [shared, variance]], dtype=torch.float64),
    )
