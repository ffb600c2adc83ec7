"""The report of predictions without labels: numbers and figures."""

from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.predictions import Predictions
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.plots import unlabelled_plots
from bvalign.show.report.summary_json import (
    SCHEMA,
    explained,
    how_it_was_made,
    missing,
    plain,
    top_k,
)

NEEDS_LABELS = (
    "accuracy member_accuracy bias_sq risk bias_sq_unbiased kl_risk kl_bias kl_bias_jackknife "
    "error_rate bias_01 net_variance_01 variance_share alignment "
    "excess ratio calibration collapse weighted num_drawn"
).split()


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
        **top_k(analysis.left_open),
        "notes": list(analysis.notes),
    } | how_it_was_made(predictions, origin)


def plot(analysis: UnlabelledAnalysis) -> dict[str, Plot]:
    """Describes the figures of the report, by file name; none for one member."""
    return unlabelled_plots(analysis)
