"""The report of predictions without labels: its tables, figures, page and main numbers."""

from pathlib import Path

from matplotlib.figure import Figure

from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.predictions import Predictions
from bvalign.show import figures
from bvalign.show.files import write_files
from bvalign.show.page import SAMPLES_SHOWN, class_names, render, thumbnail
from bvalign.show.tables import SCHEMA, csv_text, how_it_was_made, plain, undefined, with_error

NEEDS_LABELS = (
    "accuracy member_accuracy bias_sq risk bias_sq_unbiased kl_risk kl_bias kl_bias_jackknife "
    "error_rate bias_01 net_variance_01 variance_share alignment slope_by_class slope_by_decade "
    "excess ratio calibration collapse weighted"
).split()
ASSUMPTIONS = {
    "risk": (
        "the mean probabilities of infinitely many such members are calibrated for each class",
        "an over-confident mean makes it too low, by its mean calibration residual",
    ),
    "risk_plug_in": (
        "the mean probabilities of these very members are calibrated for each class",
        "an over-confident mean makes it too low, by its mean calibration residual",
    ),
    "member_error": (
        "vote shares of infinitely many such members are calibrated, all classes together: the "
        "Generalization Disagreement Equality",
        "members that agree more often than they are right make it too low",
    ),
    "ensemble_error": (
        "the confidence of these members' mean is calibrated",
        "a confidence above the accuracy makes it too low, by their difference",
    ),
}
"""Estimate -> what it assumes, and where over-confidence pulls it."""
CAPTIONS = {
    "variance": "One point per sample: how far a member is from the mean, over how unsure the mean "
    "is of its prediction. Grey is what no ensemble of so many members and classes can reach.",
    "disagreement": "How often two members predict different classes, sample by sample. If vote "
    "shares are calibrated, the mean is the error rate of a member.",
}


def write_report(
    analysis: UnlabelledAnalysis,
    predictions: Predictions,
    origin: dict[str, object],
    out: Path,
) -> None:
    """Writes all files of the report.

    Args:
        analysis: of `predictions`.
        predictions: for class names and images.
        origin: how the predictions were made; goes to `summary.json`.
        out: a folder, made if missing.
    """
    summary = summarise(analysis, predictions, origin)

    def html(images: dict[str, bytes]) -> str:
        return render(
            "unlabelled.html.j2",
            summary,
            main_numbers(analysis),
            images,
            CAPTIONS,
            extremes=_extremes(analysis, predictions),
        )

    columns = {"index": analysis.index, **analysis.values._asdict()}
    write_files(out, summary, csv_text(columns), draw(analysis), html)


def summarise(
    analysis: UnlabelledAnalysis, predictions: Predictions, origin: dict[str, object]
) -> dict[str, object]:
    """All numbers as plain JSON; docs/summary.md says what each means."""
    means, estimates = plain(analysis.means()), plain(analysis.estimates())
    prefixed = {f"estimates.{name}": estimate for name, estimate in estimates.items()}
    needing = [{"name": name, "reason": "needs labels"} for name in NEEDS_LABELS]
    for name, (assumes, over_confident) in ASSUMPTIONS.items():
        estimates[name] |= {"assumes": assumes, "over_confident": over_confident}
    return {
        "schema": SCHEMA,
        "labels": False,
        "missing": needing + undefined(means | prefixed, analysis.num_members),
        "num_members": analysis.num_members,
        "num_samples": analysis.num_samples,
        "num_classes": analysis.num_classes,
        "means": means,
        "estimates": estimates,
        "notes": list(analysis.notes),
    } | how_it_was_made(predictions, origin)


def draw(analysis: UnlabelledAnalysis) -> dict[str, Figure]:
    """The figures of the report, by file name; none for one member."""
    if analysis.num_members == 1:
        return {}
    v = {key: value.numpy() for key, value in analysis.values._asdict().items()}
    return {
        "variance": figures.variance_over_confidence(
            v["error_label_free"],
            v["variance"],
            v["disagreement"],
            num_members=analysis.num_members,
            num_classes=analysis.num_classes,
        ),
        "disagreement": figures.disagreement_histogram(
            v["disagreement"], num_members=analysis.num_members
        ),
    }


def main_numbers(analysis: UnlabelledAnalysis) -> str:
    """The few lines that a reader needs, in words."""
    means, estimates = plain(analysis.means()), plain(analysis.estimates())
    several = analysis.num_members > 1
    lines = [
        f"{analysis.num_members} members on {analysis.num_samples} samples without labels: mean "
        f"confidence {with_error(means['confidence'])}, uncertainty "
        f"{with_error(means['uncertainty'])}"
        + (f", variance {with_error(means['variance'])}" if several else "")
    ]
    if not several:
        lines.append("one member has no variance and nobody to disagree with")
    risk = estimates["risk" if several else "risk_plug_in"]
    lines.append(f"risk, if mean probabilities are calibrated for each class: {with_error(risk)}")
    if several:
        error = with_error(estimates["member_error"])
        lines.append(f"error rate of a member, if vote shares are calibrated: {error}")
    error = with_error(estimates["ensemble_error"])
    lines.append(f"error rate of the ensemble, if its confidence is calibrated: {error}")
    lines.append(
        "where models are over-confident, as on shifted data, the true values are higher; ± is "
        "over samples and does not cover that"
    )
    lines.append("without labels: no bias_sq, accuracy, alignment, calibration or collapse")
    return "\n".join([*lines, *(f"note: {note}" for note in analysis.notes)])


def _extremes(analysis: UnlabelledAnalysis, predictions: Predictions) -> list[dict[str, object]]:
    values, names = analysis.values, class_names(predictions)
    scores = {"Least confident: the mean is unsure": values.error_label_free}
    if analysis.num_members > 1:
        scores = {"Most variable: the members disagree": values.variance, **scores}

    def card(row: int) -> dict[str, object]:
        numbers = ("confidence", "variance", "disagreement")
        return {
            "index": int(analysis.index[row]),
            "prediction": names[int(values.prediction[row])],
            "image": thumbnail(predictions.images, row),
            **{name: plain(getattr(values, name)[row]) for name in numbers},
        }

    return [
        {
            "title": title,
            "samples": [
                card(row) for row in score.argsort(descending=True)[:SAMPLES_SHOWN].tolist()
            ],
        }
        for title, score in scores.items()
    ]
