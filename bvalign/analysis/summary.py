"""Everything that is computed of one ensemble's predictions, in one pass over blocks of samples."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.alignment import Alignment, fit_alignment
from bvalign.analysis.calibration_summary import Calibration, calibrate, choose_held_out
from bvalign.analysis.collapse_summary import Collapse, fit_collapse
from bvalign.analysis.design import Selection, design
from bvalign.analysis.gap import Gap, decompose_gap, uncertainty_sum
from bvalign.analysis.local import LocalSlope, class_slopes, decade_slopes
from bvalign.analysis.losses import CrossEntropy, ZeroOne, cross_entropy, vote_counts, zero_one
from bvalign.analysis.statistics import Decomposition, decompose, moments
from bvalign.analysis.subsets import concatenate, subset_values

RATIO_QUANTILES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class Analysis:
    """The numbers of one ensemble on one test set.

    Attributes:
        decomposition: one value per sample.
        prediction: argmax of the mean probabilities (samples).
        cross_entropy: the decomposition under cross-entropy, one value per sample.
        zero_one: the decomposition of the members' votes, one value per sample.
        gap: bias_sq - variance and what it is made of, one value per sample.
        member_accuracy: accuracy of each member (members).
        alignment: fits over the correct samples.
        calibration: of the mean probabilities.
        collapse: the noise in the logits, and what the model of neural collapse predicts from it.
        class_slopes: slope of each class.
        decade_slopes: slope of each decade of bias_sq; the key k stands for 10^k.
        target: labels (samples).
        index: rows of the data set (samples).
        num_classes: K.
        notes: lines that every reader of the results must see.
    """

    decomposition: Decomposition
    prediction: Int[Tensor, " samples"]
    cross_entropy: CrossEntropy
    zero_one: ZeroOne
    gap: Gap
    member_accuracy: Float[Tensor, " members"]
    alignment: Alignment
    calibration: Calibration
    collapse: Collapse
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
        tables = (self.decomposition, self.cross_entropy, self.zero_one)
        skipped = ("correct", "count", "main")
        return {
            name: _mean(values)
            for table in tables
            for name, values in table._asdict().items()
            if name not in skipped
        }

    def variance_share(self) -> dict[str, float | None]:
        """Share of the mean risk that is variance, for each loss; None without risk.

        It is the net variance for the 0-1 loss, where variance can help, so it may be negative.
        """
        pairs = {
            "squared": ("variance", "risk"),
            "cross_entropy": ("kl_variance", "kl_risk"),
            "zero_one": ("net_variance_01", "error_rate"),
        }
        means = {name: mean["value"] for name, mean in self.means().items()}
        return {
            loss: means[part] / means[whole] if means[whole] else None
            for loss, (part, whole) in pairs.items()
        }

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
    columns: dict[str, list[Tensor | tuple[Tensor, ...]]] = defaultdict(list)
    done = 0
    for logits, target in blocks:
        if not done:
            chosen = choose_held_out(len(index), *logits.shape[::2])
        here = chosen[done : done + len(target)]
        done += len(target)
        votes = logits.argmax(dim=-1)
        columns["target"].append(target)
        columns["hits"].append((votes == target).double().mean(dim=1) * len(target))
        columns["counts"].append(vote_counts(votes, logits.shape[-1]))
        columns["state"].append(moments(logits, target))
        columns["uncertainty_sum"].append(uncertainty_sum(logits))
        columns["cross_entropy"].append(cross_entropy(logits, target))
        columns["subsets"].append(subset_values(logits, target, plan.subsets, plan.error_rows))
        columns["held_out"].append((logits[:, here].transpose(0, 1), target[here]))
    subsets, labels = concatenate(columns.pop("subsets")), torch.cat(columns["target"])
    alignment = fit_alignment(subsets, plan)
    slopes = class_slopes(subsets, labels, plan), decade_slopes(subsets, plan)
    del subsets
    hits = sum(columns.pop("hits"))
    joined = {key: _join(columns.pop(key)) for key in list(columns)}  # blocks go as they are joined
    state, target, counts = joined["state"], joined["target"], joined["counts"]
    gap = decompose_gap(state, joined["uncertainty_sum"], target)
    held_out = (joined["held_out"][0].transpose(0, 1), joined["held_out"][1])
    return Analysis(
        decomposition=decompose(state, target),
        cross_entropy=joined["cross_entropy"],
        zero_one=zero_one(counts, target),
        gap=gap,
        prediction=state.prob_sum.argmax(dim=-1),
        member_accuracy=hits / len(target),
        alignment=alignment,
        class_slopes=slopes[0],
        decade_slopes=slopes[1],
        calibration=calibrate(state, joined["uncertainty_sum"], counts, gap, target, held_out),
        collapse=fit_collapse(*held_out),
        target=target,
        index=index,
        num_classes=counts.shape[-1],
        notes=tuple(notes),
    )


def _join(parts: list[Tensor | tuple[Tensor, ...]]) -> Tensor | tuple[Tensor, ...]:
    """Blocks of samples, of tensors or of tuples of tensors, as one."""
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    fields = [torch.cat(column) for column in zip(*parts, strict=True)]
    return type(parts[0])(*fields) if hasattr(parts[0], "_fields") else tuple(fields)


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
