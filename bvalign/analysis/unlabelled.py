"""Analysis without labels: the variance of the members, and the risk to expect.

Symbols, for one sample with M members and K classes: p_m is member m's probabilities, p̄ their
mean, q their normalised geometric mean (`decompositions/other_losses.py`). These need no label:

    variance, variance_unbiased    mean_m ‖p_m - p̄‖², and with M - 1
    uncertainty                    1 - mean_m ‖p_m‖² (`calibration/gap.py`)
    kl_variance                    mean_m KL(q ‖ p_m), nats
    disagreement, variance_01      fraction of pairs of members that vote differently, unbiased;
                                   fraction of members that are outvoted

Squared bias, risk and calibration do. Their substitutes hold on average over samples, each under an
assumption that cannot be checked without labels:

    risk            E risk = E (2 variance_unbiased + uncertainty)
                    if the mean of infinitely many members is class-wise calibrated: the gap
                    identity of `calibration/gap.py` with a calibration residual of zero
    risk_plug_in    the same with variance, if the mean of these M members is calibrated so
    member_error    E (error rate of a member) = E disagreement
                    if the vote shares of infinitely many members are calibrated, with all classes
                    pooled: the Generalization Disagreement Equality (Jiang et al. 2022)
    ensemble_error  E 1{argmax p̄ != y} = E (1 - max p̄)
                    if the largest mean probability is calibrated (Guo et al. 2017)

An over-confident mean, as is usual under distribution shift, makes each of them too small: the true
mean risk is higher by the mean calibration residual, the error rates by the mean excess of
confidence or agreement over accuracy.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.calibration import uncertainty_sum
from bvalign.analysis.collect import Range, collect, one_thread_each
from bvalign.analysis.decompositions import (
    Column,
    NamedColumns,
    Unit,
    centred_squares,
    columns_of,
    disagreement,
    jackknife_shift,
    log_moments,
    residual,
    softmax,
    vote_counts,
)
from bvalign.analysis.given import Given
from bvalign.analysis.groups import (
    LeftOut,
    MemberGroups,
    MemberPart,
    Sets,
    leave_one_out,
    left_out_sums,
    loss_sums,
    member_groups,
    member_sums,
    residuals,
    set_values,
)
from bvalign.analysis.intervals import Estimate

MEANS = (
    "variance",
    "variance_unbiased",
    "uncertainty",
    "confidence",
    "disagreement",
    "variance_01",
    "kl_variance",
    "kl_variance_jackknife",
)
ESTIMATES = {
    "risk": "risk_label_free",
    "risk_plug_in": "risk_label_free_plug_in",
    "member_error": "disagreement",
    "ensemble_error": "error_label_free",
}
"""Estimate -> name of the per-sample value whose mean it is."""


class Unlabelled(NamedTuple):
    """Statistics that need no labels, one value per sample; float64 except `prediction`.

    With one member the variances, disagreement and risk_label_free are NaN; so are the KL variances
    where a member gives a class a probability of exactly zero, as votes do.
    """

    prediction: Annotated[Int[Tensor, " samples"], Unit("class id")]  # argmax p̄
    confidence: Annotated[Float[Tensor, " samples"], Unit("probability", True, True)]  # max p̄
    variance: Annotated[Float[Tensor, " samples"], Unit("squared probability", shown=True)]
    variance_unbiased: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    uncertainty: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    kl_variance: Annotated[Float[Tensor, " samples"], Unit("nats")]
    kl_variance_jackknife: Annotated[Float[Tensor, " samples"], Unit("nats")]
    disagreement: Annotated[Float[Tensor, " samples"], Unit("fraction of pairs", True, True)]
    variance_01: Annotated[Float[Tensor, " samples"], Unit("fraction of members", proportion=True)]
    risk_label_free: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    risk_label_free_plug_in: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    # 1 - max p̄, without cancellation
    error_label_free: Annotated[Float[Tensor, " samples"], Unit("probability", proportion=True)]


@dataclass(frozen=True, repr=False)
class UnlabelledAnalysis(NamedColumns):
    """Numbers of one ensemble on samples without labels; prints as the main ones.

    Attributes:
        values: one value per sample; `analysis["variance"]` is one column as an array.
        means: means over samples by name.
        estimates: substitutes for risk and error rates, each under its own assumption.
        index: rows of the data set (samples).
        num_members: M.
        num_classes: K.
        notes: lines that every reader of the results should see.
    """

    values: Unlabelled
    means: dict[str, Estimate]
    estimates: dict[str, Estimate]
    index: Int[Tensor, " samples"]
    num_members: int
    num_classes: int
    notes: tuple[str, ...] = ()

    @property
    def num_samples(self) -> int:
        """Number of samples N."""
        return len(self.index)

    def columns(self) -> dict[str, Column]:
        """Columns of samples.csv by name, in order."""
        index = Column(self.index, Unit("row of the data set", shown=True))
        return {"index": index} | columns_of(self.values)

    def __repr__(self) -> str:
        """Main numbers in words."""
        means, estimates = self.means, self.estimates
        several = self.num_members > 1
        lines = [
            f"{self.num_members} members on {self.num_samples} samples without labels: mean "
            f"confidence {means['confidence']}, uncertainty {means['uncertainty']}"
            + (f", variance {means['variance']}" if several else "")
        ]
        if not several:
            lines.append("one member has no variance and nobody to disagree with")
        risk = estimates["risk" if several else "risk_plug_in"]
        lines.append(f"risk, if mean probabilities are calibrated for each class: {risk}")
        if several:
            error = estimates["member_error"]
            lines.append(f"error rate of a member, if vote shares are calibrated: {error}")
        error = estimates["ensemble_error"]
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


class UnlabelledStatistics(NamedTuple):
    """Fields of `Unlabelled` for several sets of members."""

    confidence: Sets
    variance: Sets
    variance_unbiased: Sets
    uncertainty: Sets
    kl_variance: Sets
    kl_variance_jackknife: Sets  # Tukey's variance of a jackknifed value is that of the plain one
    disagreement: Sets
    variance_01: Sets
    risk_label_free: Sets
    risk_label_free_plug_in: Sets
    error_label_free: Sets


def analyze_unlabelled_blocks(
    ranges: Callable[[], Iterable[Range]],
    shape: tuple[int, int, int],
    given: Given,
    num_ranges: int,
    reduce: Callable[[Tensor], object] = lambda _: None,
) -> UnlabelledAnalysis:
    """Analyses predictions that come as ranges of samples, ignoring any labels.

    Args:
        ranges: begins a pass over the ranges of this process.
        shape: numbers of members M, samples N and classes K.
        given: what is known of the samples beside the logits.
        num_ranges: over all processes.
        reduce: sums an array over processes, in place; does nothing for a single one.
    """
    num_members, num_samples, num_classes = shape
    groups = member_groups(num_members)

    def compute(part: Range) -> UnlabelledRange:
        without = _without_groups(part.logits, groups)
        return UnlabelledRange(unlabelled(part.logits), left_out_sums(without))

    places = {"samples": torch.arange(num_samples)}
    values, sums = collect(ranges(), compute, num_ranges, places, reduce)
    members = MemberPart(UnlabelledStatistics._fields, sums, num_samples, given.clusters)
    columns = columns_of(values)

    def mean(name: str) -> Estimate:
        return members.mean(name, columns[name].values, proportion=columns[name].unit.proportion)

    with one_thread_each():
        return UnlabelledAnalysis(
            values,
            {name: mean(name) for name in MEANS},
            {name: mean(column) for name, column in ESTIMATES.items()},
            given.index,
            num_members,
            num_classes,
            given.notes,
        )


def unlabelled(logits: Float[Tensor, "members samples classes"]) -> Unlabelled:
    """Per-sample values of members that fit into memory together.

    >>> logits = torch.tensor([[[0.0, 0.0]], [[0.0, 0.0]]])      # two members, both undecided
    >>> values = unlabelled(logits)
    >>> values.confidence.item(), values.risk_label_free.item(), values.disagreement.item()
    (0.5, 0.5, 0.0)
    """
    num_members, _, num_classes = logits.shape
    probs = softmax(logits)
    prob_sum = probs.sum(dim=0)
    prediction = prob_sum.argmax(dim=-1)
    error = -residual(prob_sum, prediction).gather(-1, prediction.unsqueeze(-1)).squeeze(-1)
    centred = centred_squares(probs, prediction)
    uncertainty = uncertainty_sum(logits) / num_members
    logs = log_moments(logits)
    kl_variance = logs.divergence / num_members
    undefined = torch.full_like(centred, torch.nan)
    counts = vote_counts(logits.argmax(dim=-1), num_classes)
    several = num_members > 1
    variance_unbiased = centred / (num_members - 1) if several else undefined
    return Unlabelled(
        prediction=prediction,
        confidence=prob_sum.amax(dim=-1) / num_members,
        variance=centred / num_members if several else undefined,
        variance_unbiased=variance_unbiased,
        uncertainty=uncertainty,
        kl_variance=kl_variance if several else undefined,
        kl_variance_jackknife=kl_variance + jackknife_shift(logits, logs),
        disagreement=disagreement(counts),
        variance_01=1 - counts.amax(dim=-1).double() / num_members if several else undefined,
        risk_label_free=2 * variance_unbiased + uncertainty,
        risk_label_free_plug_in=2 * centred / num_members + uncertainty,
        error_label_free=error / num_members,
    )


def _without_groups(
    logits: Float[Tensor, "members samples classes"], groups: MemberGroups
) -> UnlabelledStatistics:
    """Statistics of each sample without each group of members."""
    probs = softmax(logits)
    # any class serves as the label; the most probable one keeps digits
    given = residuals(probs, probs.sum(dim=0).argmax(dim=-1))
    values = set_values(leave_one_out(member_sums(given, groups)), given)
    sums = leave_one_out(loss_sums(logits, given, groups))
    m, confidence, variance = values.sums.count, values.largest, values.variance
    variance_unbiased, uncertainty = variance * m / (m - 1), sums.uncertainty / m
    kl_variance = -(sums.log_probs / m.unsqueeze(-1)).logsumexp(dim=-1)
    plug_in = 1 - sums.votes.square().sum(dim=-1) / m.square()
    return UnlabelledStatistics(
        confidence=confidence,
        variance=variance,
        variance_unbiased=variance_unbiased,
        uncertainty=uncertainty,
        kl_variance=kl_variance,
        kl_variance_jackknife=kl_variance,
        disagreement=plug_in * m / (m - 1),
        variance_01=1 - sums.votes.amax(dim=-1) / m,
        risk_label_free=2 * variance_unbiased + uncertainty,
        risk_label_free_plug_in=2 * variance + uncertainty,
        error_label_free=1 - confidence,
    )
