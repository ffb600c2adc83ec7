"""Analysis of one ensemble's labelled predictions: per-sample statistics, fits and summaries."""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from bvalign.analysis.block_values import BlockValues, block_values
from bvalign.analysis.calibration import Calibration, Gap, calibrate
from bvalign.analysis.collapse import Collapse, fit_collapse
from bvalign.analysis.collect import Block, HeldOut, arrays, collect
from bvalign.analysis.decompositions import Column, Mean, NamedColumns
from bvalign.analysis.sample_table import SampleTable, sample_table
from bvalign.analysis.slopes import (
    Alignment,
    Design,
    LocalSlope,
    Selection,
    SubsetValues,
    class_slopes,
    decade_slopes,
    design,
    fit_alignment,
    quoted_estimators,
)

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
        samples: the per-sample statistics; `analysis["bias_sq"]` is one column as an array.
        member_accuracy: accuracy of each member (members).
        pair_disagreement: fraction of samples on which two members differ (members, members).
        alignment: fits over the correct samples.
        calibration: of the mean probabilities.
        collapse: noise in the logits, and predictions of the neural-collapse model from it.
        class_slopes: slope of each class.
        decade_slopes: slope of each decade of bias_sq; the key k stands for 10^k.
        selection: which samples count as correct in the fits.
        num_classes: K.
        notes: lines that every reader of the results should see.
    """

    samples: SampleTable
    member_accuracy: Float[Tensor, " members"]
    pair_disagreement: Float[Tensor, "members members"]
    alignment: Alignment
    calibration: Calibration
    collapse: Collapse
    class_slopes: dict[int, LocalSlope]
    decade_slopes: dict[int, LocalSlope]
    selection: Selection
    num_classes: int
    notes: tuple[str, ...] = ()

    @property
    def num_members(self) -> int:
        """Number of members M."""
        return len(self.member_accuracy)

    @property
    def num_samples(self) -> int:
        """Number of test samples N."""
        return len(self.samples.index)

    @property
    def accuracy(self) -> float:
        """Fraction of samples that the mean of all members gets right."""
        return float(self.samples.decomposition.correct.double().mean())

    def columns(self) -> dict[str, Column]:
        """Per-sample statistics by name, as in samples.csv."""
        return self.samples.columns()

    def means(self) -> dict[str, Mean]:
        """Means of the per-sample statistics, with standard errors over samples."""
        return self.samples.means()

    def variance_share(self) -> dict[str, float]:
        """Fraction of the mean risk that is variance, for each loss; NaN where undefined.

        For the 0-1 loss it is the net variance, which can help and so be negative.
        """
        means = {name: float(mean.value) for name, mean in self.means().items()}
        return {
            loss: math.nan if means[whole] in (0, math.inf) else means[part] / means[whole]
            for loss, (part, whole) in LOSSES.items()
        }

    def ratio_quantiles(self) -> dict[str, dict[str, float]]:
        """Quantiles of variance / bias_sq over all samples; plug-in ones are at most M - 1."""
        d = self.samples.decomposition
        ratios = {
            "plug_in": d.variance / d.bias_sq,
            "unbiased": d.variance_unbiased / d.bias_sq_unbiased,
        }
        return {name: _quantiles(ratio) for name, ratio in ratios.items()}

    def excess_quantiles(self) -> dict[str, dict[str, float]]:
        """Quantiles D of max(variance - bias_sq, 0): variance <= bias_sq + D for that fraction."""
        d = self.samples.decomposition
        excess = {
            "plug_in": d.variance - d.bias_sq,
            "unbiased": d.variance_unbiased - d.bias_sq_unbiased,
        }
        return {name: _quantiles(e.clamp(min=0)) for name, e in excess.items()}

    def __repr__(self) -> str:
        """Main numbers in words."""
        means = self.means()
        lines = [
            f"{self.num_members} members on {self.num_samples} samples: accuracy of a member "
            f"{float(self.member_accuracy.mean()):.4f}, of the ensemble {self.accuracy:.4f}"
        ]
        if self.num_members == 1:
            lines.append("one member has no variance: means and accuracy only")
        lines.append(
            f"mean squared bias {means['bias_sq']}, variance {means['variance']} "
            f"({self.variance_share()['squared']:.0%} of the risk {means['risk']})"
        )
        for name in quoted_estimators():
            slope = self.alignment.estimators[name]["slope"]
            if slope.value is None:
                lines.append(f"slope {name}: none ({slope.reason})")
                continue
            interval = slope.quoted_interval
            ends = ", 95% [{:.3f}, {:.3f}]".format(*interval) if interval else ", no interval"
            lines.append(
                f"slope {name}: {slope.value:.3f}{ends}, over {self.alignment.num_correct} "
                "correct samples"
            )
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def analyze_blocks(
    blocks: Iterable[Block],
    index: Tensor,
    num_members: int,
    notes: Sequence[str] = (),
    selection: Selection = "same",
    *,
    member_weights: Sequence[float] | None = None,
    first: int = 0,
    reduce: Callable[[Tensor], object] = lambda _: None,
) -> Analysis:
    """Analyses predictions that come as blocks of samples, each with all members.

    Args:
        blocks: logits (members, block, classes) and labels (block) of successive samples.
        index: rows of the data set (samples), in the order of the blocks.
        num_members: M.
        notes: passed on to the result.
        selection: which samples count as correct in the fits; see `slopes/member_subsets.py`.
        member_weights: weight of each member in `weighted`, and only there.
        first: position of the first block, where samples are split over several processes.
        reduce: sums an array over processes, in place; does nothing for a single one.
    """
    plan = design(num_members, selection=selection)
    held_out = HeldOut(len(index), first)
    compute = partial(block_values, plan=plan, member_weights=member_weights)
    values = collect(held_out.watch(blocks), compute, len(index), first)
    for array in (*arrays(values), held_out.logits, held_out.target):
        reduce(array)
    size = plan.subsets.sum(dim=1).double()
    *subsets, log_errors = values.subsets
    subsets = SubsetValues(*subsets, size, log_errors, plan.error_rows)
    samples = sample_table(values, index, subsets.errors(plan.full.whole))
    return Analysis(
        samples=samples,
        member_accuracy=values.hits / len(index),
        pair_disagreement=values.pairs_that_differ / len(index),
        selection=selection,
        num_classes=values.votes.shape[-1],
        notes=tuple(notes),
        **_fits(values, subsets, samples.gap, plan, held_out),
    )


def _fits(
    values: BlockValues, subsets: SubsetValues, gap: Gap, plan: Design, held_out: HeldOut
) -> dict[str, object]:
    """Computes the fields of `Analysis` that are fits, side by side."""
    kept = held_out.logits.transpose(0, 1), held_out.target
    sums = values.moments, values.uncertainty_sum, values.votes
    with ThreadPoolExecutor(2) as pool:  # many short operations, which leave a core idle
        fits = {
            "alignment": pool.submit(fit_alignment, subsets, plan),
            "calibration": pool.submit(calibrate, *sums, gap, values.target, kept),
            "class_slopes": pool.submit(class_slopes, subsets, values.target, plan),
            "decade_slopes": pool.submit(decade_slopes, subsets, plan),
            "collapse": pool.submit(fit_collapse, *kept),
        }
    return {name: fit.result() for name, fit in fits.items()}


def _quantiles(values: Float[Tensor, " samples"]) -> dict[str, float]:
    """Quantiles of the finite values; NaN if there are none."""
    finite = values[values.isfinite()]
    if not len(finite):
        return {str(q): math.nan for q in RATIO_QUANTILES}
    at = torch.tensor(RATIO_QUANTILES, dtype=torch.float64)
    return dict(zip(map(str, RATIO_QUANTILES), torch.quantile(finite, at).tolist(), strict=True))
