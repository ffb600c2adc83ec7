"""The report of predictions without labels: numbers, figures and page."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.predictions import Predictions
from bvalign.show.figures import samples as figures
from bvalign.show.report.summary_json import (
    SCHEMA,
    explained,
    how_it_was_made,
    missing,
    plain,
)

NEEDS_LABELS = (
    "accuracy member_accuracy bias_sq risk bias_sq_unbiased kl_risk kl_bias kl_bias_jackknife "
    "error_rate bias_01 net_variance_01 variance_share alignment "
    "excess ratio calibration collapse weighted num_drawn"
).split()
CAPTIONS = {
    "variance": "One point per sample: the variance of the members over the uncertainty of their "
    "mean prediction. No ensemble of this many members and classes can reach the grey region.",
    "disagreement": "The fraction of pairs of members that predict different classes, sample by "
    "sample. If vote shares are calibrated, its mean is the error rate of a member.",
}


def summarise(
    analysis: UnlabelledAnalysis, predictions: Predictions, origin: dict[str, object]
) -> dict[str, object]:
    """Returns all numbers as plain data; docs/summary.md explains each."""
    means = explained(plain(analysis.means), analysis.num_members)
    need_labels = [{"name": name, "reason": "needs labels"} for name in NEEDS_LABELS]
    return {
        "schema": SCHEMA,
        "labels": False,
        "missing": need_labels + missing(means),
        "num_members": analysis.num_members,
        "num_samples": analysis.num_samples,
        "num_classes": analysis.num_classes,
        "means": means,
        "notes": list(analysis.notes),
    } | how_it_was_made(predictions, origin)


def variance(analysis: UnlabelledAnalysis, axes: Axes | None = None) -> Figure:
    """Plots variance over confidence.

    Args:
        analysis: the results.
        axes: to plot on; by default those of a new figure.

    Raises:
        ValueError: there is one member.
    """
    if analysis.num_members == 1:
        raise ValueError("one member has no variance; a plot needs two members, or labels")
    return figures.variance_over_confidence(
        analysis["error_label_free"],
        analysis["variance"],
        analysis["disagreement"],
        num_members=analysis.num_members,
        num_classes=analysis.num_classes,
        axes=axes,
    )


def plot(analysis: UnlabelledAnalysis) -> dict[str, Figure]:
    """Plots the figures of the report, by file name; none for one member."""
    if analysis.num_members == 1:
        return {}
    return {
        "variance": variance(analysis),
        "disagreement": figures.disagreement_histogram(
            analysis["disagreement"], num_members=analysis.num_members
        ),
    }


def captions(analysis: UnlabelledAnalysis) -> dict[str, str]:
    """Returns what stands below each figure, by its name."""
    return CAPTIONS
