"""The numbers of one ensemble on labelled samples."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.calibration import Calibration
from bvalign.analysis.collapse import Collapse
from bvalign.analysis.decompositions import Column, NamedColumns
from bvalign.analysis.given import Kept, LeftOutValues
from bvalign.analysis.groups import MemberPart
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.sample_table import SampleTable
from bvalign.analysis.sizes import RiskCurve, SizeCurves
from bvalign.analysis.slopes import Alignment
from bvalign.analysis.top_k import LeftOpen

RATIO_QUANTILES = (0.5, 0.9, 0.99, 1.0)
LOSSES = {
    "squared": ("variance", "risk"),
    "cross_entropy": ("kl_variance", "kl_risk"),
    "zero_one": ("net_variance_01", "error_rate"),
}
"""Loss -> names of its variance and of its risk."""


@dataclass(frozen=True, repr=False)
class Analysis(NamedColumns):
    """Numbers of one ensemble on one test set; prints as the main ones.

    Attributes:
        table: the per-sample statistics; `analysis["bias_sq"]` is one column as an array.
        means: means over samples by name.
        weighted_means: those of the values with member weights; None without weights.
        accuracy: fraction of samples that the mean of all members gets right.
        mean_member_accuracy: mean over members of their accuracy.
        member_accuracy: accuracy of each member (members).
        paired: positions of the members that are compared in pairs: all, or 1,000 at random.
        pair_disagreement: fraction of samples on which two of them differ (paired, paired).
        alignment: fits over the correct samples.
        calibration: of the mean probabilities.
        collapse: noise in the logits, and predictions of the neural-collapse model from it.
        num_classes: K.
        num_drawn: samples behind curves and `cross_half`.
        risk_curve: risk of the mean of m members over m.
        sizes: other numbers of the mean of m members over m.
        kept: logits of all samples, or of a random subset of many.
        left_out: values of samples without some of the members, to compare groups of samples.
        member_part: what the draw of the members adds to the spread of a mean over all samples.
        notes: lines that every reader of the results should see.
    """

    table: SampleTable
    means: dict[str, Estimate]
    weighted_means: dict[str, Estimate] | None
    accuracy: Estimate
    mean_member_accuracy: Estimate
    member_accuracy: Float[Tensor, " members"]
    paired: Int[Tensor, " paired"]
    pair_disagreement: Float[Tensor, "paired paired"]
    alignment: Alignment
    calibration: Calibration
    collapse: Collapse
    num_classes: int
    num_drawn: int
    risk_curve: RiskCurve
    sizes: SizeCurves
    kept: Kept
    left_out: LeftOutValues
    member_part: MemberPart
    notes: tuple[str, ...] = ()

    @property
    def num_members(self) -> int:
        """Number of members M."""
        return len(self.member_accuracy)

    @property
    def num_samples(self) -> int:
        """Number of test samples N."""
        return len(self.table.index)

    def columns(self) -> dict[str, Column]:
        """Per-sample statistics by name, as in samples.csv."""
        return self.table.columns()

    @property
    def left_open(self) -> LeftOpen | None:
        """What top-k logits leave open; None where those of all classes are known."""
        return self.table.left_open

    @property
    def soft_labels(self) -> bool:
        """Whether labels are distributions; "correct" is then their most probable class."""
        return self.table.soft is not None

    @property
    def only_votes(self) -> bool:
        """Whether all members give one class of each sample all probability."""
        return not self.table.gap.uncertainty.any()

    def noise_share(self) -> dict[str, float] | None:
        """Fraction of the mean risk that is label noise, by loss; None without soft labels."""
        if not self.soft_labels:
            return None
        parts = {"squared": ("noise", "risk"), "cross_entropy": ("kl_noise", "kl_risk")}
        return {loss: self._share(*names) for loss, names in parts.items()}

    def variance_share(self) -> dict[str, float]:
        """Fraction of the mean risk that is variance, for each loss; NaN where undefined.

        For the 0-1 loss it is the net variance, which can help and so be negative.
        """
        return {loss: self._share(part, whole) for loss, (part, whole) in LOSSES.items()}

    def _share(self, part: str, whole: str) -> float:
        value, of = self.means[part].value, self.means[whole].value
        return math.nan if value is None or not of else value / of

    def ratio_quantiles(self) -> dict[str, dict[str, float]]:
        """Quantiles of variance / bias_sq over all samples; plug-in ones are at most M - 1.

        With soft labels there is no such limit, and the unbiased ones are NaN: their bias_sq can be
        negative.
        """
        d = self.table.decomposition
        ratios = {
            "plug_in": d.variance / d.bias_sq,
            "unbiased": d.variance_unbiased / d.bias_sq_unbiased,
        }
        if self.soft_labels:
            ratios["unbiased"] = torch.full_like(ratios["unbiased"], math.nan)
        return {name: _quantiles(ratio) for name, ratio in ratios.items()}

    def excess_quantiles(self) -> dict[str, dict[str, float]]:
        """Quantiles D of max(variance - bias_sq, 0): variance <= bias_sq + D for that fraction."""
        d = self.table.decomposition
        excess = {
            "plug_in": d.variance - d.bias_sq,
            "unbiased": d.variance_unbiased - d.bias_sq_unbiased,
        }
        return {name: _quantiles(e.clamp(min=0)) for name, e in excess.items()}

    def __repr__(self) -> str:
        """Main numbers in words."""
        means, slope = self.means, self.alignment.logit_slope
        lines = [
            f"{self.size}: accuracy of a member {self.mean_member_accuracy}, of the ensemble "
            f"{self.accuracy}"
        ]
        if self.num_members == 1:
            lines.append("one member has no variance: means and accuracy only")
        share = self.variance_share()["squared"]
        of_risk = "" if math.isnan(share) else f"{share:.0%} of the "  # no risk has no shares
        if noise := self.noise_share():
            lines.insert(0, "soft labels: accuracy is that for the most probable class of each")
            lines.append(f"mean label noise {means['noise']} ({noise['squared']:.0%} of the risk)")
        lines.append(
            f"mean squared bias {means['bias_sq']}, variance {means['variance']} "
            f"({of_risk}risk {means['risk']})"
        )
        lines.append(f"population slope {slope.slope}, offset {slope.offset}")
        if slope.flags:
            lines.append(f"do not quote them: {', '.join(slope.flags)}")
        lines.append(f"slope of these members (ols) {self.alignment.ols['slope']}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def _quantiles(values: Float[Tensor, " samples"]) -> dict[str, float]:
    """Quantiles of the finite values; NaN if there are none."""
    finite = values[values.isfinite()].numpy()
    if not len(finite):
        return {str(q): math.nan for q in RATIO_QUANTILES}
    return dict(
        zip(map(str, RATIO_QUANTILES), np.quantile(finite, RATIO_QUANTILES).tolist(), strict=True)
    )
