"""Per-sample statistics of labelled predictions: one row per test sample."""

from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from torch import Tensor

from bvalign.analysis.block_values import OF_PAIRS, BlockValues, SoftBlock
from bvalign.analysis.calibration import Gap
from bvalign.analysis.decompositions import (
    Column,
    CrossEntropy,
    Decomposition,
    Unit,
    WeightedDecomposition,
    ZeroOne,
    columns_of,
)
from bvalign.analysis.given import Given
from bvalign.analysis.groups import Doubts
from bvalign.analysis.leading import Leading
from bvalign.analysis.slopes import LogErrors, LogitSlope
from bvalign.analysis.top_k import LeftOpen, left_open


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
        soft_error: 1 - p̄_y (samples).
        log_errors: squared standard errors over members of the logs of the plug-in values; NaN
            with fewer than three members.
        statistics: further ones, declared in `BlockValues` with a `Unit`.
        leading: the most probable classes, with their votes.
        doubts: how unsure the ensemble is of its prediction, in several ways.
        slope_influence: of each sample on the population slope (samples).
        offset_influence: likewise on the offset.
        weighted: the decomposition with member weights, if there are any.
        cluster: of each sample (samples), if they are not independent.
        num_options: classes of each sample (samples), if not all have K.
        num_unseen: of training samples, members that were not trained on each.
        soft: noise of soft labels, whose most probable classes are the target; None of class ids.
        left_open: what top-k logits leave open; None where those of all classes are known.
    """

    index: Int[Tensor, " samples"]
    target: Int[Tensor, " samples"]
    prediction: Int[Tensor, " samples"]
    decomposition: Decomposition
    cross_entropy: CrossEntropy
    zero_one: ZeroOne
    gap: Gap
    soft_error: Float[Tensor, " samples"]
    log_errors: LogErrors
    statistics: dict[str, Column]
    leading: Leading
    doubts: Doubts
    slope_influence: Float[Tensor, " samples"]
    offset_influence: Float[Tensor, " samples"]
    weighted: WeightedDecomposition | None = None
    cluster: Int[Tensor, " samples"] | None = None
    num_options: Int[Tensor, " samples"] | None = None
    num_unseen: Int[Tensor, " samples"] | None = None
    soft: SoftBlock | None = None
    left_open: LeftOpen | None = None

    def columns(self) -> dict[str, Column]:
        """Columns of samples.csv by name, in order."""
        decomposition = self._losses()
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
            weighted = self.of_weighted()
            columns |= {f"weighted_{name}": column for name, column in weighted.items()}
        columns |= {
            "slope_influence": Column(self.slope_influence, Unit("slope")),
            "offset_influence": Column(self.offset_influence, log),
        }
        if self.cluster is not None:
            columns["cluster"] = Column(self.cluster, Unit("number"))
        if self.num_options is not None:
            columns["num_options"] = Column(self.num_options, Unit("classes"))
        if self.num_unseen is not None:
            columns["num_unseen"] = Column(self.num_unseen, Unit("members"))
        columns |= self.statistics
        return columns if self.left_open is None else columns | self.left_open.columns()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of top-k logits has to know."""
        return () if self.left_open is None else self.left_open.notes(self.columns())

    def averaged(self) -> dict[str, Column]:
        """The columns whose means are in summary.json."""
        columns = self._losses()
        columns |= columns_of(self.cross_entropy) | columns_of(self.zero_one)
        columns.pop("correct")  # its mean is the accuracy
        return columns | self.statistics

    def of_weighted(self) -> dict[str, Column]:
        """The columns of `weighted`."""
        return self._signed(columns_of(self.weighted))

    def _losses(self) -> dict[str, Column]:
        noise = {}
        for part in () if self.soft is None else (self.soft.noise, self.soft.people):
            noise |= {} if part is None else columns_of(part)
        return noise | self._signed(columns_of(self.decomposition))

    def _signed(self, columns: dict[str, Column]) -> dict[str, Column]:
        """With soft labels products of residuals can be negative."""
        if self.soft is None:
            return columns
        return {
            name: column._replace(unit=column.unit._replace(kind="real"))
            if name in OF_PAIRS
            else column
            for name, column in columns.items()
        }


def sample_table(values: BlockValues, given: Given, slope: LogitSlope) -> SampleTable:
    """Makes the table from the values of all samples.

    Args:
        values: of all samples, joined.
        given: what is known of the samples beside the logits.
        slope: fitted to the same values.
    """
    table = SampleTable(
        index=given.index,
        target=values.target,
        prediction=values.prediction,
        decomposition=values.decomposition,
        cross_entropy=values.cross_entropy,
        zero_one=values.zero_one,
        gap=values.gap,
        soft_error=values.soft_error,
        log_errors=values.log_errors,
        statistics=columns_of(values),
        leading=values.leading,
        doubts=values.doubts,
        slope_influence=slope.slope_influence,
        offset_influence=slope.offset_influence,
        weighted=values.weighted,
        cluster=given.clusters,
        num_options=given.num_options,
        num_unseen=given.num_unseen,
        soft=values.soft,
    )
    if values.bounds is None:
        return table
    kept = (given.num_kept, values.mean_probs.whole.shape[1])
    return replace(table, left_open=left_open(values.bounds, table.columns(), kept))
