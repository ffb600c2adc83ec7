"""Everything that is computed of one ensemble's predictions."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.alignment import Alignment, fit_alignment
from bvalign.analysis.calibration_summary import Calibration, calibrate
from bvalign.analysis.collapse_summary import Collapse, fit_collapse
from bvalign.analysis.collect import collect
from bvalign.analysis.design import Selection, design
from bvalign.analysis.gap import Gap, decompose_gap
from bvalign.analysis.leading import Leading, leading
from bvalign.analysis.local import LocalSlope, class_slopes, decade_slopes
from bvalign.analysis.log_errors import LogErrors
from bvalign.analysis.losses import CrossEntropy, ZeroOne, zero_one
from bvalign.analysis.statistics import Decomposition, decompose
from bvalign.analysis.subsets import SubsetValues
from bvalign.analysis.weights import WeightedDecomposition

RATIO_QUANTILES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class Analysis:
    """The numbers of one ensemble on one test set.

    Attributes:
        decomposition: one value per sample.
        prediction: argmax of the mean probabilities (samples).
        leading: the most probable classes of each sample, and their votes.
        cross_entropy: the decomposition under cross-entropy, one value per sample.
        zero_one: the decomposition of the members' votes, one value per sample.
        gap: bias_sq - variance and what it is made of, one value per sample.
        log_errors: squared standard errors of the logs of the unbiased values, over members; NaN
            with fewer than three.
        member_accuracy: accuracy of each member (members).
        pair_disagreement: share of samples at which two members differ (members, members).
        alignment: fits over the correct samples.
        calibration: of the mean probabilities.
        collapse: the noise in the logits, and what the model of neural collapse predicts from it.
        class_slopes: slope of each class.
        decade_slopes: slope of each decade of bias_sq; the key k stands for 10^k.
        selection: which samples count as correct in the fits.
        target: labels (samples).
        index: rows of the data set (samples).
        num_classes: K.
        weighted: the decomposition in which members count with weights, if there are any.
        notes: lines that every reader of the results must see.
    """

    decomposition: Decomposition
    prediction: Int[Tensor, " samples"]
    leading: Leading
    cross_entropy: CrossEntropy
    zero_one: ZeroOne
    gap: Gap
    log_errors: LogErrors
    member_accuracy: Float[Tensor, " members"]
    pair_disagreement: Float[Tensor, "members members"]
    alignment: Alignment
    calibration: Calibration
    collapse: Collapse
    class_slopes: dict[int, LocalSlope]
    decade_slopes: dict[int, LocalSlope]
    selection: Selection
    target: Int[Tensor, " samples"]
    index: Int[Tensor, " samples"]
    num_classes: int
    weighted: WeightedDecomposition | None = None
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
        return {name: mean for table in tables for name, mean in _means(table).items()}

    def weighted_means(self) -> dict[str, dict[str, float | None]] | None:
        """Means of `weighted`; None without weights."""
        return None if self.weighted is None else _means(self.weighted)

    def variance_share(self) -> dict[str, float | None]:
        """Share of the mean risk that is variance, for each loss; None without either.

        It is the net variance for the 0-1 loss, where variance can help, so it may be negative.
        """
        pairs = {
            "squared": ("variance", "risk"),
            "cross_entropy": ("kl_variance", "kl_risk"),
            "zero_one": ("net_variance_01", "error_rate"),
        }
        means = {name: mean["value"] for name, mean in self.means().items()}
        return {
            loss: means[part] / means[whole] if means[whole] and means[part] is not None else None
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
    blocks: Iterable[tuple[Tensor, Tensor | None]],
    index: Tensor,
    num_members: int,
    notes: Sequence[str] = (),
    selection: Selection = "same",
    *,
    weights: Sequence[float] | None = None,
    first: int = 0,
    reduce: Callable[[Tensor], object] = lambda _: None,
) -> Analysis:
    """Analyses predictions that come as blocks of samples, each with all members.

    Args:
        blocks: logits (members, block, classes) and labels (block) of successive samples.
        index: rows of the data set (samples), in the order of the blocks.
        num_members: M.
        notes: passed on to the result.
        selection: which samples count as correct in the fits; `design.py` explains each.
        weights: how often each member counts in `weighted`, and only there.
        first: position of the first block, where several processes share the samples.
        reduce: adds an array up over the processes, in place; does nothing for a single one.

    Raises:
        ValueError: there are no labels.
    """
    plan = design(num_members, selection=selection)
    columns, hits, differ = collect(blocks, plan, len(index), first, weights)
    for array in (hits, differ, *columns.arrays()):
        reduce(array)
    size, errors = plan.subsets.sum(dim=1).double(), columns.take("errors")
    subsets = SubsetValues(*columns.take("subsets"), size, errors, plan.error_rows)
    state, target, counts = (columns.take(key) for key in ("state", "target", "counts"))
    uncertainty = columns.take("uncertainty_sum")
    gap = decompose_gap(state, uncertainty, target)
    held_out_logits, held_out_target = columns.take("held_out")
    held_out = (held_out_logits.transpose(0, 1), held_out_target)
    with ThreadPoolExecutor(2) as pool:  # many short operations, which leave a core idle
        alignment = pool.submit(fit_alignment, subsets, plan)
        calibration = pool.submit(calibrate, state, uncertainty, counts, gap, target, held_out)
        of_classes = pool.submit(class_slopes, subsets, target, plan)
        of_decades = pool.submit(decade_slopes, subsets, plan)
        collapse = pool.submit(fit_collapse, *held_out)
    return Analysis(
        decomposition=decompose(state, target),
        cross_entropy=columns.take("cross_entropy"),
        zero_one=zero_one(counts, target),
        gap=gap,
        log_errors=subsets.errors(plan.full.whole),
        prediction=state.prob_sum.argmax(dim=-1),
        leading=leading(state.prob_sum / state.count.unsqueeze(-1), counts),
        member_accuracy=hits / len(target),
        pair_disagreement=differ / len(target),
        alignment=alignment.result(),
        class_slopes=of_classes.result(),
        decade_slopes=of_decades.result(),
        calibration=calibration.result(),
        collapse=collapse.result(),
        selection=selection,
        target=target,
        index=index,
        num_classes=counts.shape[-1],
        weighted=columns.take("weighted") if weights is not None else None,
        notes=tuple(notes),
    )


def _means(table: Decomposition | CrossEntropy | ZeroOne | WeightedDecomposition) -> dict:
    skipped = ("correct", "count", "main")
    return {name: _mean(v) for name, v in table._asdict().items() if name not in skipped}


def _mean(values: Float[Tensor, " samples"]) -> dict[str, float | None]:
    if not values.isfinite().all():
        return {"value": None, "standard_error": None}
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return {"value": float(values.mean()), "standard_error": error}


def _quantiles(values: Float[Tensor, " samples"]) -> dict[str, float | None]:
    finite = values[values.isfinite()]
    if not len(finite):
        return {str(q): None for q in RATIO_QUANTILES}
    at = torch.tensor(RATIO_QUANTILES, dtype=torch.float64)
    return dict(zip(map(str, RATIO_QUANTILES), torch.quantile(finite, at).tolist(), strict=True))
