"""Per-sample statistics of labelled predictions: one row per test sample."""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.block_values import BlockValues
from bvalign.analysis.calibration import Gap, decompose_gap
from bvalign.analysis.decompositions import (
    Column,
    CrossEntropy,
    Decomposition,
    Mean,
    Unit,
    WeightedDecomposition,
    ZeroOne,
    columns_of,
    decompose,
    zero_one,
)
from bvalign.analysis.slopes import LogErrors

TOP = 4


class Leading(NamedTuple):
    """Leading TOP classes of each sample (all classes if fewer), most probable first."""

    classes: Int[Tensor, "samples top"]
    probs: Float[Tensor, "samples top"]  # mean_m p_m of those classes
    votes: Int[Tensor, "samples top"]  # members that vote for each of them


@dataclass(frozen=True)
class SampleTable:
    """Per-sample statistics of one ensemble.

    Attributes:
        index: rows of the data set (samples).
        target: class ids (samples).
        prediction: argmax of the mean probabilities (samples).
        decomposition: of the squared loss.
        cross_entropy: decomposition of the cross-entropy.
        zero_one: decomposition of the 0-1 loss of votes.
        gap: bias_sq - variance and its terms.
        log_errors: squared standard errors over members of the logs of the unbiased values; NaN
            with fewer than three members.
        statistics: further ones, declared in `BlockValues` with a `Unit`.
        leading: the most probable classes, with their votes.
        weighted: the decomposition with member weights, if there are any.
    """

    index: Int[Tensor, " samples"]
    target: Int[Tensor, " samples"]
    prediction: Int[Tensor, " samples"]
    decomposition: Decomposition
    cross_entropy: CrossEntropy
    zero_one: ZeroOne
    gap: Gap
    log_errors: LogErrors
    statistics: dict[str, Column]
    leading: Leading
    weighted: WeightedDecomposition | None = None

    def columns(self) -> dict[str, Column]:
        """Columns of samples.csv by name, in order."""
        decomposition = columns_of(self.decomposition)
        log = Unit("natural log")
        columns = {
            "index": Column(self.index, Unit("row of the data set", shown=True)),
            "label": Column(self.target, Unit("class id", shown=True)),
            "correct": decomposition.pop("correct"),
            **decomposition,
            "prediction": Column(self.prediction, Unit("class id", shown=True)),
            "log_bias_sq_error": Column(self.log_errors.bias_sq.sqrt(), log),
            "log_variance_error": Column(self.log_errors.variance.sqrt(), log),
        }
        for statistics in (self.cross_entropy, self.zero_one, self.gap):
            columns |= columns_of(statistics)
        if self.weighted is not None:
            weighted = columns_of(self.weighted)
            columns |= {f"weighted_{name}": column for name, column in weighted.items()}
        return columns | self.statistics

    def means(self) -> dict[str, Mean]:
        """Means over samples of each decomposition and of `statistics`; NaN if undefined."""
        columns = columns_of(self.decomposition)
        columns |= columns_of(self.cross_entropy) | columns_of(self.zero_one)
        return _means(columns | self.statistics)

    def weighted_means(self) -> dict[str, Mean] | None:
        """Means of `weighted`; None without weights."""
        return None if self.weighted is None else _means(columns_of(self.weighted))


def sample_table(
    values: BlockValues,
    index: Int[Tensor, " samples"],
    log_errors: LogErrors,
) -> SampleTable:
    """Makes the table from the values of all samples.

    Args:
        values: of all samples, joined.
        index: rows of the data set.
        log_errors: of the whole ensemble.
    """
    state, target = values.moments, values.target
    mean_probs = state.prob_sum / state.count.unsqueeze(-1)
    return SampleTable(
        index=index,
        target=target,
        prediction=state.prob_sum.argmax(dim=-1),
        decomposition=decompose(state, target),
        cross_entropy=values.cross_entropy,
        zero_one=zero_one(values.votes, target),
        gap=decompose_gap(state, values.uncertainty_sum, target),
        log_errors=log_errors,
        statistics=columns_of(values),
        leading=leading(mean_probs, values.votes),
        weighted=values.weighted,
    )


def leading(
    mean_probs: Float[Tensor, "samples classes"], votes: Int[Tensor, "samples classes"]
) -> Leading:
    """Selects the leading classes of each sample.

    Args:
        mean_probs: mean_m p_m.
        votes: `other_losses.vote_counts`.

    >>> import torch
    >>> first = leading(torch.tensor([[0.1, 0.9]]), torch.tensor([[1, 3]]))
    >>> first.classes.tolist(), first.votes.tolist()
    ([[1, 0]], [[3, 1]])
    """
    probs, classes = mean_probs.topk(min(TOP, votes.shape[-1]), dim=-1)
    return Leading(classes, probs, votes.gather(-1, classes))


def _means(columns: dict[str, Column]) -> dict[str, Mean]:
    return {
        name: _mean(column.values)
        for name, column in columns.items()
        if column.values.is_floating_point()
    }


def _mean(values: Float[Tensor, " samples"]) -> Mean:
    undefined = values.new_tensor(float("nan"))
    error = values.std() / len(values) ** 0.5 if len(values) > 1 else undefined
    return Mean(values.mean(), error)
