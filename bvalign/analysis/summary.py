"""Everything that is computed of one ensemble's predictions, in one pass over blocks of samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.alignment import Alignment, fit_alignment
from bvalign.analysis.design import Selection, design
from bvalign.analysis.local import LocalSlope, class_slopes, decade_slopes
from bvalign.analysis.statistics import Decomposition, decompose, moments
from bvalign.analysis.subsets import concatenate, subset_values

RATIO_QUANTILES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class Analysis:
    """The numbers of one ensemble on one test set.

    Attributes:
        decomposition: one value per sample.
        prediction: argmax of the mean probabilities (samples).
        votes: share of members whose argmax is the label (samples).
        member_accuracy: accuracy of each member (members).
        alignment: fits over the correct samples.
        class_slopes: slope of each class.
        decade_slopes: slope of each decade of bias_sq; the key k stands for 10^k.
        target: labels (samples).
        index: rows of the data set (samples).
        num_classes: K.
        notes: lines that every reader of the results must see.
    """

    decomposition: Decomposition
    prediction: Int[Tensor, " samples"]
    votes: Float[Tensor, " samples"]
    member_accuracy: Float[Tensor, " members"]
    alignment: Alignment
    class_slopes: dict[int, LocalSlope]
    decade_slopes: dict[int, LocalSlope]
    target: Int[Tensor, " samples"]
    index: Int[Tensor, " samples"]
    num_classes: int
    notes: tuple[str, ...] = ()

    @property
    def num_members(self) -> int:
        return len(self.member_accuracy)

    @property
    def num_samples(self) -> int:
        return len(self.target)

    def means(self) -> dict[str, dict[str, float | None]]:
        """Mean and standard error over samples of each per-sample value; None if undefined."""
        names = ("bias_sq", "variance", "risk", "bias_sq_unbiased", "variance_unbiased")
        return {name: _mean(getattr(self.decomposition, name)) for name in names}

    def ratio_quantiles(self) -> dict[str, dict[str, float | None]]:
        """Quantiles of variance / bias_sq over all samples; plug-in ones are at most M - 1."""
        d = self.decomposition
        ratios = {
            "plug_in": d.variance / d.bias_sq,
            "unbiased": d.variance_unbiased / d.bias_sq_unbiased,
        }
        return {name: _quantiles(ratio) for name, ratio in ratios.items()}

    def excess_quantiles(self) -> dict[str, dict[str, float | None]]:
        """Quantiles D of max(variance - bias_sq, 0): variance <= bias_sq + D for that share."""
        d = self.decomposition
        excess = {
            "plug_in": d.variance - d.bias_sq,
            "unbiased": d.variance_unbiased - d.bias_sq_unbiased,
        }
        return {name: _quantiles(e.clamp(min=0)) for name, e in excess.items()}


def analyze(
    blocks: Iterable[tuple[Tensor, Tensor]],
    index: Tensor,
    num_members: int,
    notes: Sequence[str] = (),
    selection: Selection = "same",
) -> Analysis:
    """Analyses predictions that come as blocks of samples, each with all members.

    Args:
        blocks: logits (members, block, classes) and labels (block) of successive samples.
        index: rows of the data set (samples), in the order of the blocks.
        num_members: M.
        notes: passed on to the result.
        selection: which samples count as correct in the fits; `design.py` explains each.
    """
    plan = design(num_members, selection=selection)
    parts, values, predictions, targets, hits = [], [], [], [], []
    for logits, target in blocks:
        state = moments(logits, target)
        parts.append(decompose(state, target))
        predictions.append(state.prob_sum.argmax(dim=-1))
        hits.append(logits.argmax(dim=-1) == target)
        values.append(subset_values(logits, target, plan.subsets, plan.error_rows))
        targets.append(target)
    hit = torch.cat(hits, dim=1).double()
    joined, labels = concatenate(values), torch.cat(targets)
    return Analysis(
        decomposition=Decomposition(*(torch.cat(column) for column in zip(*parts, strict=True))),
        prediction=torch.cat(predictions),
        votes=hit.mean(dim=0),
        member_accuracy=hit.mean(dim=1),
        alignment=fit_alignment(joined, plan),
        class_slopes=class_slopes(joined, labels, plan),
        decade_slopes=decade_slopes(joined, plan),
        target=labels,
        index=index,
        num_classes=logits.shape[-1],
        notes=tuple(notes),
    )


def _mean(values: Float[Tensor, " samples"]) -> dict[str, float | None]:
    if values.isnan().any():
        return {"value": None, "standard_error": None}
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return {"value": float(values.mean()), "standard_error": error}


def _quantiles(values: Float[Tensor, " samples"]) -> dict[str, float | None]:
    finite = values[values.isfinite()]
    if not len(finite):
        return {str(q): None for q in RATIO_QUANTILES}
    at = torch.tensor(RATIO_QUANTILES, dtype=torch.float64)
    found = torch.quantile(finite, at).tolist()
    return {str(q): value for q, value in zip(RATIO_QUANTILES, found, strict=True)}
