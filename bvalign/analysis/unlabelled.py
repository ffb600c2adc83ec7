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

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.calibration import uncertainty_sum
from bvalign.analysis.collect import Block, arrays, collect
from bvalign.analysis.decompositions import (
    Column,
    Mean,
    NamedColumns,
    Unit,
    centred_squares,
    columns_of,
    disagreement,
    jackknife_shift,
    log_moments,
    mean_over_samples,
    residual,
    softmax,
    vote_counts,
)

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
    confidence: Annotated[Float[Tensor, " samples"], Unit("probability", shown=True)]  # max p̄
    variance: Annotated[Float[Tensor, " samples"], Unit("squared probability", shown=True)]
    variance_unbiased: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    uncertainty: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    kl_variance: Annotated[Float[Tensor, " samples"], Unit("nats")]
    kl_variance_jackknife: Annotated[Float[Tensor, " samples"], Unit("nats")]
    disagreement: Annotated[Float[Tensor, " samples"], Unit("fraction of pairs", shown=True)]
    variance_01: Annotated[Float[Tensor, " samples"], Unit("fraction of members")]
    risk_label_free: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    risk_label_free_plug_in: Annotated[Float[Tensor, " samples"], Unit("squared probability")]
    # 1 - max p̄, without cancellation
    error_label_free: Annotated[Float[Tensor, " samples"], Unit("probability")]


@dataclass(frozen=True, repr=False)
class UnlabelledAnalysis(NamedColumns):
    """Numbers of one ensemble on samples without labels; prints as the main ones.

    Attributes:
        values: one value per sample; `analysis["variance"]` is one column as an array.
        index: rows of the data set (samples).
        num_members: M.
        num_classes: K.
        notes: lines that every reader of the results should see.
    """

    values: Unlabelled
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

    def means(self) -> dict[str, Mean]:
        """Means of the per-sample values, with standard errors over samples; NaN if undefined."""
        return {name: mean_over_samples(getattr(self.values, name)) for name in MEANS}

    def estimates(self) -> dict[str, Mean]:
        """Substitutes for risk and error rates, each under its own assumption."""
        return {
            name: mean_over_samples(getattr(self.values, column))
            for name, column in ESTIMATES.items()
        }

    def __repr__(self) -> str:
        """Main numbers in words."""
        means, estimates = self.means(), self.estimates()
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
            "where models are over-confident, as on shifted data, the true values are higher; ± is "
            "over samples and does not cover that"
        )
        lines.append("without labels: no bias_sq, accuracy, alignment, calibration or collapse")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def analyze_unlabelled_blocks(
    blocks: Iterable[Block],
    index: Tensor,
    num_members: int,
    notes: Sequence[str] = (),
    *,
    num_classes: int,
    first: int = 0,
    reduce: Callable[[Tensor], object] = lambda _: None,
) -> UnlabelledAnalysis:
    """Analyses predictions that come as blocks of samples, ignoring any labels.

    Args:
        blocks: logits (members, block, classes) of successive samples, and anything or None.
        index: rows of the data set (samples), in the order of the blocks.
        num_members: M.
        notes: passed on to the result.
        num_classes: K.
        first: position of the first block, where samples are split over several processes.
        reduce: sums an array over processes, in place; does nothing for a single one.
    """
    values = collect(blocks, lambda logits, _: unlabelled(logits), len(index), first)
    for array in arrays(values):
        reduce(array)
    return UnlabelledAnalysis(values, index, num_members, num_classes, tuple(notes))


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
