"""Analysis of labelled predictions: some drawn samples, all samples, then the fits."""

from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor

from bvalign.analysis.block_values import BlockValues, Plan, block_values
from bvalign.analysis.calibration import (
    DIFFERENT_CLASSES,
    Calibration,
    Temperature,
    calibrate,
    compare_means,
    temperature,
)
from bvalign.analysis.collapse import Collapse, fit_collapse
from bvalign.analysis.collect import Range, draw_positions, one_thread_each
from bvalign.analysis.decompositions import Column, columns_of
from bvalign.analysis.given import KEPT_NUMBERS, Given, Kept, LeftOutValues
from bvalign.analysis.groups import MemberPart, Statistics, member_groups
from bvalign.analysis.intervals import Estimate
from bvalign.analysis.passes import Pass
from bvalign.analysis.sample_table import sample_table
from bvalign.analysis.sizes import Drawn, SizeCurves, risk_curve, size_curves
from bvalign.analysis.slopes import (
    Alignment,
    DrawnBlock,
    FirstPass,
    LogErrors,
    check,
    curve,
    fit_logit_slope,
    has_logs,
    no_logit_slope,
    ols,
    pool_noise,
    read_drawn,
    wrong_logit_skewness,
)
from bvalign.analysis.summary import Analysis
from bvalign.memory import return_freed_memory

DRAWN = 20_000
"""Most samples behind the shape of the noise, curves over M, `cross_half` and calibration."""

DRAWN_LOGITS, LEAST_DRAWN = 2**26, 1000
"""Most logits of those samples, as about 50 sets of members are asked of each, but not too few."""

COMPARED = 2**16
"""Most samples whose values without each group of members are kept, 384 bytes each."""

PAIRED_MEMBERS = 1000
"""Most members that are compared in pairs: half a million pairs."""

SOFT = {
    "slope": "labels are soft, and the model of log odds behind it is about one label a sample",
    "temperature": "labels are soft, and it is fitted by the likelihood of one label a sample",
    "collapse": "labels are soft, and the margin of its model is that of one label a sample",
    "votes": "labels are soft, and votes are right or wrong about the most probable class alone",
}
"""Why a number that needs one label a sample is left out."""


class LabelledPass(Pass[Analysis]):
    """Reads the drawn samples, then all samples, and fits."""

    kind = BlockValues

    @cached_property
    def places(self) -> dict[str, Int[Tensor, " some"]]:
        num_members, num_samples, num_classes = self.cut.shape
        most = DRAWN_LOGITS // (num_members * num_classes)
        return {
            "samples": torch.arange(num_samples),
            "binned": draw_positions(num_samples, min(DRAWN, KEPT_NUMBERS // num_classes)),
            "compared": draw_positions(num_samples, COMPARED),
            "chosen": draw_positions(num_samples, KEPT_NUMBERS // (num_members * num_classes)),
            "drawn": draw_positions(num_samples, min(DRAWN, max(most, LEAST_DRAWN))),
        }

    @property
    def num_ranges(self) -> int:
        return len(self._drawn_ranges) + self.cut.num_ranges

    def prepare(self) -> None:
        """Computes the plan."""
        self._plan  # noqa: B018

    def compute(self, part: Range) -> BlockValues:
        return block_values(part, self._plan)

    def finish(self) -> Analysis:
        plan, values = self._plan, self.joined()
        with one_thread_each():
            drawn, clusters = self._drawn, self.given.clusters
            alignment = _alignment(values, drawn, self.places["drawn"], plan, clusters)
            return_freed_memory()
            some = Drawn(self.places["drawn"], clusters)
            curves = size_curves(drawn.losses, plan.groups, values.decomposition.correct, some)
            del drawn, self._drawn  # thousands of bytes a sample that nothing needs from here on
            return _analysis(values, (alignment, curves), plan, self.given)

    @cached_property
    def _drawn_ranges(self) -> list[int]:
        return self.cut.with_some(self.places["drawn"])

    @cached_property
    def _drawn(self) -> DrawnBlock:
        numbers, groups = self._drawn_ranges, member_groups(self.cut.shape[0])

        def read() -> DrawnBlock:
            drawn = self.places["drawn"]
            return read_drawn(self.cut.reading(numbers), len(numbers), groups, drawn)

        return self.kept("drawn", DrawnBlock, read, len(numbers))

    @cached_property
    def _plan(self) -> Plan:
        num_members, num_samples, _ = self.cut.shape
        groups = member_groups(num_members)
        with one_thread_each():
            noise = pool_noise(self._drawn.odds, groups, num_samples)
        paired = draw_positions(num_members, PAIRED_MEMBERS)
        rows = (self.places[axis] for axis in ("binned", "chosen", "compared"))
        return Plan(groups, paired, *rows, noise, self.given.member_weights)


def _analysis(
    values: BlockValues, fits: tuple[Alignment, SizeCurves], plan: Plan, given: Given
) -> Analysis:
    """Summarises the values of all samples."""
    number, clusters, groups = len(given.index), given.clusters, plan.groups
    (alignment, curves), squared = fits, values.decomposition
    table = sample_table(values, given, alignment.logit_slope)
    bounds = {} if table.left_open is None else table.left_open.means()
    members = MemberPart(Statistics._fields, values.left_out, number, clusters, bounds)
    one_number = given.num_options is None  # of classes
    rows = (plan.binned, plan.chosen)
    binned, chosen = (None if clusters is None else clusters[some] for some in rows)
    soft, kept = values.soft, (values.chosen_logits, values.chosen_target)
    compared = compare_means(values.gap, values.zero_one, squared, values.soft_error, members)
    if soft is None:
        scaled, collapse = temperature(*kept, groups, chosen), None
    else:
        scaled = Temperature(None, len(kept[1]) // 2, reason=SOFT["temperature"])
        collapse = Collapse(None, reason=SOFT["collapse"])
        votes = Estimate(None, reason=SOFT["votes"])
        compared["hard_equality"] = dict.fromkeys(compared["hard_equality"], votes)
    if collapse is None:
        collapse = fit_collapse(*kept) if one_number else Collapse(None, reason=DIFFERENT_CLASSES)
    calibration = Calibration(
        **calibrate(values.mean_probs, binned, soft and soft.binned, of_classes=one_number),
        **compared,
        temperature=scaled,
    )
    with_weights = {} if values.weighted is None else table.of_weighted()
    means = _means(table.averaged(), members)
    return Analysis(
        table=table,
        means=means,
        weighted_means=_means(with_weights, members, "weighted_") or None,
        accuracy=members.mean("correct", columns_of(values.decomposition)["correct"]),
        mean_member_accuracy=_complement(means["error_rate"]),
        member_accuracy=values.hits.double() / number,
        paired=plan.paired,
        pair_disagreement=values.pairs_that_differ.double() / number,
        alignment=alignment,
        calibration=calibration,
        collapse=collapse,
        num_classes=values.mean_probs.whole.shape[1],
        num_drawn=curves.num_samples,
        risk_curve=risk_curve(squared.risk, squared.variance_unbiased, members, clusters),
        sizes=curves,
        kept=Kept(plan.chosen, *kept, chosen),
        left_out=LeftOutValues(plan.compared, values.of_groups),
        member_part=members,
        notes=(*given.notes, *table.notes),
    )


def _alignment(
    values: BlockValues,
    drawn: DrawnBlock,
    positions: Int[Tensor, " drawn"],
    plan: Plan,
    clusters: Int[Tensor, " samples"] | None,
) -> Alignment:
    """Fits of log variance on log bias_sq, in four ways."""
    correct, groups = values.decomposition.correct, plan.groups
    right = correct[plan.chosen]
    skewness = wrong_logit_skewness(values.chosen_logits[:, right], values.chosen_target[right])
    first = FirstPass(groups, positions, drawn.odds, plan.noise, skewness)
    errors = None
    if values.logit is not None:
        errors = LogErrors(*(error[positions] for error in values.logit.errors))
    usable = has_logs(values.decomposition.bias_sq, values.decomposition.variance)
    constant = int((correct & ~usable).sum())
    if values.soft is None:
        found = fit_logit_slope(values.logit, first, len(correct), clusters)
    else:
        found = no_logit_slope(SOFT["slope"], len(correct))
    return Alignment(
        found,
        ols(values.decomposition, values.log_errors, values.line, clusters),
        check(drawn.parts, sum(groups.sizes)),
        list(curve(drawn, plan.noise, errors, groups, found)),
        int(correct.sum()),
        {"zero variance": constant} if constant else {},
    )


def _means(
    columns: dict[str, Column], members: MemberPart, prefix: str = ""
) -> dict[str, Estimate]:
    return {
        name: members.mean(prefix + name, column)
        for name, column in columns.items()
        if column.values.is_floating_point()
    }


def _complement(estimate: Estimate) -> Estimate:
    """1 - a proportion."""

    def turned(ends: tuple[float, float] | None) -> tuple[float, float] | None:
        return ends and (1 - ends[1], 1 - ends[0])

    return Estimate(1 - estimate.value, *(turned(ends) for ends in estimate[1:4]), *estimate[4:])
