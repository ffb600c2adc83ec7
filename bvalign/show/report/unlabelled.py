"""The report of predictions without labels: numbers, figures and page."""

from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.predictions import Predictions
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.plots import unlabelled_plots
from bvalign.show.report.page.template import SAMPLES_SHOWN, class_names, render, thumbnail
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


def plot(analysis: UnlabelledAnalysis) -> dict[str, Plot]:
    """Describes the figures of the report, by file name; none for one member."""
    return unlabelled_plots(analysis)


def page(
    analysis: UnlabelledAnalysis,
    predictions: Predictions,
    summary: dict[str, object],
    figures: dict[str, str],
    captions: dict[str, str],
) -> bytes:
    """Renders the HTML.

    Args:
        analysis: the results.
        predictions: class names and images are read.
        summary: as in summary.json.
        figures: SVG by name.
        captions: by the same names.
    """
    extremes = _extremes(analysis, predictions)
    template = "page/unlabelled.html.j2"
    found = summary.get("without_labels", {})
    more = {
        "extremes": extremes,
        "without_labels": found,
        "quantities": {k: v for k, v in found.items() if "methods" in (v or ())},
    }
    card = summary.get("decisions", {}).get("without_labels")
    estimated = card is not None and card["number"]["value"] is not None
    headline = "\n".join([*([card["answer"]] if estimated else []), repr(analysis)])
    return render(template, summary, headline, figures, captions, **more)


def _extremes(analysis: UnlabelledAnalysis, predictions: Predictions) -> list[dict[str, object]]:
    names, columns = class_names(predictions), analysis.columns()
    scores = {"Least confident: the mean prediction is unsure": "error_label_free"}
    if analysis.num_members > 1:
        scores = {"Most variable: the members disagree": "variance", **scores}
    shown = [name for name, column in columns.items() if column.unit.shown and name != "index"]

    def card(row: int) -> dict[str, object]:
        return {
            "index": int(analysis.index[row]),
            "prediction": names[int(columns["prediction"].values[row])],
            "image": thumbnail(predictions.images, row),
            "values": [
                (name, plain(columns[name].values[row]), columns[name].unit.name) for name in shown
            ],
        }

    return [
        {
            "title": title,
            "samples": [
                card(row)
                for row in columns[name].values.argsort(descending=True)[:SAMPLES_SHOWN].tolist()
            ],
        }
        for title, name in scores.items()
    ]
