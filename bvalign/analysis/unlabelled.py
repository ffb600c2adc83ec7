"""Analysis without labels: the variance of the members, and the risk to expect.

The values that need no labels are in `label_free.py`. Squared bias, risk and calibration need them.
Some means stand in for them, each under an assumption that cannot be checked without labels:

    risk_label_free          E risk = E (2 variance_unbiased + uncertainty)
                             if the mean of infinitely many members is class-wise calibrated: the
                             gap identity of `calibration/gap.py` without a calibration residual
    risk_label_free_plug_in  the same with variance, if the mean of these M members is calibrated so
    disagreement             E (error rate of a member) = E disagreement
                             if the vote shares of infinitely many members are calibrated, with all
                             classes pooled: the Generalization Disagreement Equality (Jiang et al.
                             2022)
    error_label_free         E 1{argmax p̄ != y} = E (1 - max p̄)
                             if the largest mean probability is calibrated (Guo et al. 2017)

An over-confident mean, as is usual under distribution shift, makes each of them too small: the true
mean risk is higher by the mean calibration residual, the error rates by the mean excess of
confidence or agreement over accuracy.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.collect import Range, draw_positions, one_thread_each
from bvalign.analysis.decompositions import Column, NamedColumns, Unit, columns_of
from bvalign.analysis.given import KEPT_NUMBERS, Kept
from bvalign.analysis.groups import LeftOut, MemberPart, left_out_sums, member_groups
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.label_free import (
    Unlabelled,
    UnlabelledStatistics,
    unlabelled,
    without_groups,
)
from bvalign.analysis.passes import Pass
from bvalign.analysis.top_k import Bounds, LeftOpen, left_open, unlabelled_bounds

MEANS = (
    "variance",
    "variance_unbiased",
    "uncertainty",
    "confidence",
    "disagreement",
    "variance_01",
    "kl_variance",
    "kl_variance_jackknife",
    "risk_label_free",
    "risk_label_free_plug_in",
    "error_label_free",
)


@dataclass(frozen=True, repr=False)
class UnlabelledAnalysis(NamedColumns):
    """Numbers of one ensemble on samples without labels; prints as the main ones.

    Attributes:
        values: one value per sample; `analysis["variance"]` is one column as an array.
        means: means over samples by name.
        index: rows of the data set (samples).
        num_members: M.
        num_classes: K.
        kept: logits of all samples, or of a random subset of many.
        member_part: what the draw of the members adds to the spread of a mean over all samples.
        notes: lines that every reader of the results should see.
        num_options: classes of each sample (samples), the first ones; None if all have K.
        left_open: what top-k logits leave open; None where those of all classes are known.
    """

    values: Unlabelled
    means: dict[str, Estimate]
    index: Int[Tensor, " samples"]
    num_members: int
    num_classes: int
    kept: Kept
    member_part: MemberPart
    notes: tuple[str, ...] = ()
    num_options: Int[Tensor, " samples"] | None = None
    left_open: LeftOpen | None = None

    @property
    def num_samples(self) -> int:
        """Number of samples N."""
        return len(self.index)

    def columns(self) -> dict[str, Column]:
        """Columns of samples.csv by name, in order."""
        index = Column(self.index, Unit("row of the data set", shown=True))
        columns = {"index": index} | columns_of(self.values)
        if self.num_options is not None:
            columns["num_options"] = Column(self.num_options, Unit("classes"))
        return columns if self.left_open is None else columns | self.left_open.columns()

    def __repr__(self) -> str:
        """Main numbers in words."""
        means = self.means
        several = self.num_members > 1
        lines = [
            f"{self.size} without labels: mean confidence {means['confidence']}, uncertainty "
            f"{means['uncertainty']}" + (f", variance {means['variance']}" if several else "")
        ]
        if not several:
            lines.append("one member has no variance and nobody to disagree with")
        risk = means["risk_label_free" if several else "risk_label_free_plug_in"]
        lines.append(f"risk, if mean probabilities are calibrated for each class: {risk}")
        if several:
            error = means["disagreement"]
            lines.append(f"error rate of a member, if vote shares are calibrated: {error}")
        error = means["error_label_free"]
        lines.append(f"error rate of the ensemble, if its confidence is calibrated: {error}")
        lines.append(
            "where models are over-confident, as on shifted data, the true values are higher; the "
            "intervals do not cover that"
        )
        lines.append("without labels: no bias_sq, accuracy, alignment, calibration or collapse")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


class UnlabelledRange(NamedTuple):
    """Values of a range of samples or, once joined, of all samples."""

    values: Unlabelled
    left_out: LeftOut
    chosen_logits: Float[Tensor, "members chosen classes"]
    bounds: Bounds | None = None  # None where the logits of all classes are known


class UnlabelledPass(Pass[UnlabelledAnalysis]):
    """Reads all samples once; any labels are ignored."""

    kind = UnlabelledRange

    @cached_property
    def places(self) -> dict[str, Int[Tensor, " some"]]:
        num_members, num_samples, num_classes = self.cut.shape
        number = KEPT_NUMBERS // (num_members * num_classes)
        return {
            "samples": torch.arange(num_samples),
            "chosen": draw_positions(num_samples, number),
        }

    def compute(self, part: Range) -> UnlabelledRange:
        without = without_groups(part.logits, member_groups(self.cut.shape[0]))
        kept = part.logits[:, part.rows(self.places["chosen"])]
        bounds = part.top and unlabelled_bounds(part.top)
        return UnlabelledRange(unlabelled(part.logits), left_out_sums(without), kept, bounds)

    def finish(self) -> UnlabelledAnalysis:
        values, sums, logits, bounds = self.joined()
        (num_members, num_samples, num_classes), given = self.cut.shape, self.given
        columns, chosen = columns_of(values), self.places["chosen"]
        found, ends, notes = None, {}, given.notes
        if bounds is not None:
            found = left_open(bounds, columns, (given.num_kept, num_classes))
            ends, notes = found.means(), (*notes, *found.notes(columns))
        names = UnlabelledStatistics._fields
        members = MemberPart(names, sums, num_samples, given.clusters, ends)
        clusters = None if given.clusters is None else given.clusters[chosen]
        with one_thread_each():
            return UnlabelledAnalysis(
                values,
                {name: members.mean(name, columns[name]) for name in MEANS},
                given.index,
                num_members,
                num_classes,
                Kept(chosen, logits, None, clusters),
                members,
                notes,
                given.num_options,
                found,
            )
