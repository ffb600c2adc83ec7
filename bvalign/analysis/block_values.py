"""All values that one pass over the logits computes for a range of samples.

`collect.py` joins the ranges by the shapes of the fields: a field with a `samples` axis holds one
entry per sample, `binned` and `chosen` are axes of random subsets of them, and a field without any
is a sum over samples. A field with a `Unit` is a finished statistic: a column of
samples.csv, with its mean in summary.json, both under the name of the field.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.calibration import (
    Gap,
    MeanProbs,
    decompose_gap,
    pair_disagreement,
)
from bvalign.analysis.collect import Range
from bvalign.analysis.decompositions import (
    AnswerNoise,
    CrossEntropy,
    Decomposition,
    LabelNoise,
    SoftLabels,
    WeightedDecomposition,
    ZeroOne,
    answer_noise,
    cross_entropy_of,
    decompose,
    expected_error,
    member_probs,
    moments_of,
    noise_of,
    soft_labels_of,
    vote_counts,
    weighted_decompose,
    zero_one,
)
from bvalign.analysis.groups import (
    OF_GROUPS,
    Doubts,
    LeftOut,
    MemberGroups,
    Residuals,
    SetValues,
    Statistics,
    doubts,
    leave_one_out,
    left_out,
    left_out_sums,
    left_out_variance,
    loss_sums,
    member_sums,
    residuals,
    set_values,
    sums_of_all,
)
from bvalign.analysis.leading import Leading, leading
from bvalign.analysis.slopes import (
    LineSums,
    LogErrors,
    LogitBlock,
    PooledNoise,
    has_logs,
    line_sums,
    logit_block,
)
from bvalign.analysis.top_k import Bounds, OfRange, labelled_bounds

OF_PAIRS = {"bias_sq_unbiased", "bias_sq_pairs"}
"""Values made of products of the residuals of two members; with soft labels, of any sign."""


class Plan(NamedTuple):
    """What a pass computes beside the values of all members on all samples."""

    groups: MemberGroups
    paired: Int[Tensor, " paired"]  # members that are compared in pairs
    binned: Int[Tensor, " binned"]  # samples of calibration errors
    chosen: Int[Tensor, " chosen"]  # samples whose logits are kept
    compared: Int[Tensor, " compared"]  # samples whose values without members are kept
    noise: PooledNoise | None  # None where the population slope is undefined
    member_weights: Sequence[float] | None = None


class SoftBlock(NamedTuple):
    """What soft labels add."""

    noise: LabelNoise
    people: AnswerNoise | None  # None where labels are exact
    binned: Float[Tensor, "binned classes"]  # the labels of the binned samples


class BlockValues(NamedTuple):
    """Values of a range of samples or, once joined, of all samples."""

    hits: Int[Tensor, " members"]  # samples that each member gets right
    pairs_that_differ: Int[Tensor, "paired paired"]  # samples on which two members disagree
    target: Int[Tensor, " samples"]
    prediction: Int[Tensor, " samples"]
    decomposition: Decomposition
    cross_entropy: CrossEntropy
    zero_one: ZeroOne
    gap: Gap
    soft_error: Float[Tensor, " samples"]  # 1 - p̄_y, or 1 - <p̄, q>
    leading: Leading
    doubts: Doubts
    log_errors: LogErrors  # of plug-in log bias_sq and log variance
    left_out: LeftOut
    line: LineSums  # of the correct samples without each group
    logit: LogitBlock | None
    mean_probs: MeanProbs
    chosen_logits: Float[Tensor, "members chosen classes"]
    chosen_target: Int[Tensor, " chosen"]
    of_groups: Float[Tensor, "statistics groups compared"]  # float32
    weighted: WeightedDecomposition | None  # None without weights
    soft: SoftBlock | None = None  # None where labels are class ids
    bounds: Bounds | None = None  # None where the logits of all classes are known


def block_values(part: Range, plan: Plan) -> BlockValues:
    """Computes all values of a range."""
    logits, target, groups = part.logits, part.target, plan.groups
    rows = (plan.binned, plan.chosen, plan.compared)
    binned, chosen, compared = map(part.rows, rows)
    members = member_probs(logits)
    labels = None if part.soft is None else soft_labels_of(part.soft)
    offset = None if labels is None else labels.offset
    votes, state = members.votes, moments_of(members.probs, target, offset)
    given = residuals(members.probs, target, labels)
    by_group, losses = member_sums(given, groups), loss_sums(members, groups)
    without = set_values(leave_one_out(by_group), given)
    counts = vote_counts(votes, logits.shape[-1])
    replicates = left_out(without, leave_one_out(losses), target, labels)
    usable, x, y = _logs(replicates)
    decomposition, weighted, noise = decompose(state, target, offset), None, None
    if plan.member_weights is not None:
        weights = torch.tensor(plan.member_weights).double()
        weighted = weighted_decompose(logits, target, weights, offset)
    if labels is not None:
        noise = _noise(labels, part.answers)
        decomposition, weighted = (_over_people(v, noise[1]) for v in (decomposition, weighted))
    corrects = (decomposition.correct, weighted and weighted.correct)
    beside = OfRange(target, labels and labels.probs, noise, corrects, plan.member_weights)
    logit = None
    if plan.noise is not None:
        logit = logit_block(given, by_group, without, groups, plan.noise)
    return BlockValues(
        hits=(votes == target).sum(dim=1),
        pairs_that_differ=pair_disagreement(votes[plan.paired], logits.shape[-1]),
        target=target,
        prediction=state.prob_sum.argmax(dim=-1),
        decomposition=decomposition,
        cross_entropy=cross_entropy_of(members.log_probs, target, labels),
        zero_one=zero_one(counts, target),
        gap=decompose_gap(state, members.uncertainty.sum(dim=0), target, offset),
        soft_error=_soft_error(given, labels),
        doubts=doubts(sums_of_all(members, state.prob_sum, counts)),
        leading=leading(state.prob_sum / len(logits), counts),
        log_errors=_log_errors(x, y),
        left_out=left_out_sums(replicates),
        line=line_sums(x, y, without.correct & usable),
        logit=logit,
        mean_probs=_mean_probs(without, binned, state.prob_sum / len(logits), target),
        chosen_logits=logits[:, chosen],
        chosen_target=target[chosen],
        of_groups=torch.stack([getattr(replicates, n)[:, compared].float() for n in OF_GROUPS]),
        weighted=weighted,
        soft=None if labels is None else SoftBlock(*noise, labels.probs[binned]),
        bounds=part.top and labelled_bounds(part.top, beside, groups),
    )


def _noise(
    labels: SoftLabels, answers: Int[Tensor, " samples"] | None
) -> tuple[LabelNoise, AnswerNoise | None]:
    noise = noise_of(labels)
    return noise, None if answers is None else answer_noise(noise.noise, answers)


def _over_people(
    values: Decomposition | WeightedDecomposition | None, people: AnswerNoise | None
) -> Decomposition | WeightedDecomposition | None:
    """Unbiased values also over the people whose answers make the labels."""
    if values is None or people is None:
        return values
    names = OF_PAIRS & set(values._fields)
    return values._replace(**{name: getattr(values, name) - people.excess for name in names})


def _soft_error(given: Residuals, labels: SoftLabels | None) -> Float[Tensor, " samples"]:
    if labels is not None:
        return expected_error(given.mean, labels)
    return given.mean.gather(-1, given.target.unsqueeze(-1)).squeeze(-1)


def _logs(replicates: Statistics) -> tuple[Tensor, Tensor, Tensor]:
    """Where both have logarithms, those of bias_sq and of variance; elsewhere NaN."""
    values = (replicates.bias_sq, replicates.variance)
    usable = has_logs(*values)
    return usable, *(torch.where(usable, v, torch.nan).log() for v in values)


def _log_errors(
    x: Float[Tensor, "groups samples"], y: Float[Tensor, "groups samples"]
) -> LogErrors:
    """Squared standard errors over members of two logarithms; NaN below three members."""
    number = len(x)
    if number < 3:
        return LogErrors(*(x.new_full(x.shape[1:], torch.nan) for _ in range(3)))
    dx, dy = x - x.mean(dim=0), y - y.mean(dim=0)
    scale = (number - 1) / number
    covariance = (dx * dy).sum(dim=0) * scale
    return LogErrors(left_out_variance(x), left_out_variance(y), covariance)


def _mean_probs(
    without: SetValues,
    binned: Int[Tensor, " binned"],
    whole: Float[Tensor, "samples classes"],
    target: Int[Tensor, " samples"],
) -> MeanProbs:
    others = without.sums.magnitude[:, binned].scatter(
        -1, target[binned].expand(len(without.label), -1).unsqueeze(-1), 0.0
    )
    predicted = torch.where(without.correct[:, binned], target[binned], others.argmax(dim=-1))
    return MeanProbs(target[binned], whole[binned], without.largest[:, binned], predicted)
