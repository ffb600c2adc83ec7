"""The galleries of the report: the most biased, most variable and most off-line samples."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from bvalign.analysis.decompositions import Column
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.predictions import Predictions
from bvalign.show.figures import fitted_lines
from bvalign.show.quantities import title
from bvalign.show.report.page.template import SAMPLES_SHOWN, class_names, cut
from bvalign.show.report.page.thumbnails import PER_ROW, PER_SHEET, Sprites

GALLERIES = {
    "bias_sq": (
        "Most biased",
        "The members make the same mistake on these; some of the labels may be wrong.",
    ),
    "variance": ("Most variable", "The members disagree most on these."),
    "off_line": (
        "Furthest from the line",
        "The ensemble gets these right, and their variance is furthest from what the line of these "
        "members (ols) predicts at their squared bias.",
    ),
    "unsure": ("Least confident", "The mean prediction is least sure of these."),
}
"""Score -> title and explanation."""


class Scores(NamedTuple):
    """Scores that rank the samples, by absolute value; NaN where undefined."""

    bias_sq: Float[np.ndarray, " samples"]
    variance: Float[np.ndarray, " samples"]
    off_line: Float[np.ndarray, " samples"]  # of `distance_to_line`


def distance_to_line(
    bias_sq: Float[np.ndarray, " samples"],
    variance: Float[np.ndarray, " samples"],
    correct: Bool[np.ndarray, " samples"],
    line: tuple[float, float] | None,
) -> Float[np.ndarray, " samples"]:
    """Measures the distance of log variance above a fitted line, in natural logarithms.

    Args:
        bias_sq: the values that the line is fitted to.
        variance: the same.
        correct: the line is fitted to correct samples, so the others get NaN.
        line: slope and intercept; all distances are NaN without a line.
    """
    distance = np.full(len(bias_sq), np.nan)
    if line is not None:
        slope, intercept = line
        kept = correct & (bias_sq > 0) & (variance > 0)
        distance[kept] = np.log(variance[kept]) - intercept - slope * np.log(bias_sq[kept])
    return distance


def largest(score: Float[np.ndarray, " samples"], number: int) -> Int[np.ndarray, " largest"]:
    """Returns the positions of the largest values in descending order, without NaN."""
    order = np.argsort(-score, kind="stable")  # NaN comes last
    return order[: min(number, int(np.isfinite(score).sum()))]


def extremes_first(
    scores: tuple[Float[np.ndarray, " samples"], ...],
) -> Int[np.ndarray, " samples"]:
    """Sorts all samples by the best rank that any score gives them."""
    ranks = np.full((len(scores), len(scores[0])), len(scores[0]))
    for rank, score in zip(ranks, scores, strict=True):
        order = largest(np.abs(score), len(score))
        rank[order] = np.arange(len(order))
    return np.argsort(ranks.min(axis=0), kind="stable")


def scores(analysis: Analysis) -> Scores:
    """Computes the scores of all samples."""
    values = {name: analysis[name] for name in ("bias_sq", "variance", "correct")}
    lines = fitted_lines(analysis, ["ols"])
    line = (lines[0].slope, lines[0].intercept) if lines else None
    distance = distance_to_line(**values, line=line)
    return Scores(values["bias_sq"], values["variance"], distance)


def galleries(
    analysis: Analysis | UnlabelledAnalysis,
    predictions: Predictions,
    shown: Int[np.ndarray, " shown"],
    sheets: Sprites,
) -> list[dict[str, object]]:
    """Collects the content of the galleries for the template.

    Args:
        analysis: the results.
        predictions: class names and texts are read.
        shown: samples in the order of the page.
        sheets: their thumbnails.
    """
    labelled, several = isinstance(analysis, Analysis), analysis.num_members > 1
    if labelled:
        scored = scores(analysis)._asdict()
    else:
        scored = {"variance": analysis["variance"], "unsure": analysis["error_label_free"]}
    places = np.empty(analysis.num_samples, dtype=np.int64)
    places[shown] = np.arange(len(shown))
    columns, filled = analysis.columns(), []
    for name, score in scored.items():
        rows = largest(np.abs(score), SAMPLES_SHOWN).tolist()
        if not rows or (not several and name in ("variance", "off_line")):
            continue
        cards = [_card(predictions, columns, row, int(places[row]), sheets) for row in rows]
        if name == "off_line":
            for card, distance in zip(cards, score[rows].tolist(), strict=True):
                side = "above" if distance > 0 else "below"
                card["facts"].append(f"{math.exp(abs(distance)):.3g} times {side} the line")
        heading, explanation = GALLERIES[name]
        filled.append({"title": heading, "explanation": explanation, "samples": cards})
    return filled


def _card(
    predictions: Predictions, columns: dict[str, Column], row: int, place: int, sheets: Sprites
) -> dict[str, object]:
    names = class_names(predictions)
    at = {name: column.values[row].item() for name, column in columns.items()}
    sheet, cell = divmod(place, PER_SHEET)
    return {
        "place": place,
        "name": (predictions.sample_names or {row: at["index"]})[row],
        "label": names[at["label"]] if "label" in at else None,
        "prediction": names[at["prediction"]],
        "facts": _facts(at, len(predictions.members)),
        "sheet": sheet if place < sheets.number else None,
        "row": cell // PER_ROW,
        "column": cell % PER_ROW,
        "text": None if predictions.texts is None else cut(predictions.texts[row], "text"),
    }


def _facts(at: dict[str, float | int], members: int) -> list[str]:
    """What a card says of a sample, line by line."""
    if "label" not in at:
        said = [f"confidence {at['confidence']:.0%}"]
        if members > 1:
            said.append(f"{at['disagreement']:.0%} of pairs disagree")
    else:
        said = [f"{round(members * (1 - at['error_rate']))} of {members} members right"]
        said.append(f"{title('bias_sq')} {at['bias_sq']:.3g}")
    return said + [f"{title('variance')} {at['variance']:.3g}"] * (members > 1)
