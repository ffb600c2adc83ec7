"""The galleries of the report: its most biased, most variable and most off-line samples."""

import math
from typing import NamedTuple

import numpy as np

from bvalign.analysis.decompositions import Column
from bvalign.analysis.summary import Analysis
from bvalign.predictions import Predictions
from bvalign.show.figures import fitted_lines
from bvalign.show.report.template import SAMPLES_SHOWN, class_names
from bvalign.show.report.thumbnails import COLUMNS, ROWS, Sprites

GALLERIES = {
    "bias_sq": ("Most biased", "The members are wrong together: look for labels that are wrong."),
    "variance": ("Most variable", "The members disagree on these."),
    "off_line": (
        "Furthest from the line",
        "Of the samples that the ensemble gets right, those whose variance is furthest from what "
        "the ols line predicts at their squared bias.",
    ),
}
"""Score -> title, and what it says."""


class Scores(NamedTuple):
    """What samples are sorted by, the largest size first; NaN where it is undefined."""

    bias_sq: np.ndarray  # (samples)
    variance: np.ndarray  # (samples)
    off_line: np.ndarray  # of `distance_to_line` (samples)


def distance_to_line(
    bias_sq: np.ndarray,
    variance: np.ndarray,
    correct: np.ndarray,
    line: tuple[float, float] | None,
) -> np.ndarray:
    """How far log variance lies above a fitted line, natural logarithms (samples).

    Args:
        bias_sq: the values that the line was fitted on (samples).
        variance: (samples).
        correct: the line is one of correct samples, so the others are NaN (samples).
        line: slope and intercept; without a line all are NaN.
    """
    distance = np.full(len(bias_sq), np.nan)
    if line is not None:
        slope, intercept = line
        kept = correct & (bias_sq > 0) & (variance > 0)
        distance[kept] = np.log(variance[kept]) - intercept - slope * np.log(bias_sq[kept])
    return distance


def largest(score: np.ndarray, number: int) -> np.ndarray:
    """Positions of the largest values, falling, NaN left out."""
    order = np.argsort(-score, kind="stable")  # NaN comes last
    return order[: min(number, int(np.isfinite(score).sum()))]


def extremes_first(scores: Scores) -> np.ndarray:
    """All samples, by the best rank that any score gives them (samples)."""
    ranks = np.full((len(scores), len(scores.bias_sq)), len(scores.bias_sq))
    for rank, score in zip(ranks, scores, strict=True):
        found = largest(np.abs(score), len(score))
        rank[found] = np.arange(len(found))
    return np.argsort(ranks.min(axis=0), kind="stable")


def scores(analysis: Analysis) -> Scores:
    """What the samples are sorted by."""
    values = {name: analysis[name] for name in ("bias_sq", "variance", "correct")}
    lines = fitted_lines(analysis, ["ols"])
    line = (lines[0].slope, lines[0].intercept) if lines else None
    distance = distance_to_line(**values, line=line)
    return Scores(values["bias_sq"], values["variance"], distance)


def galleries(
    analysis: Analysis, predictions: Predictions, found: Scores, shown: np.ndarray, sheets: Sprites
) -> list[dict[str, object]]:
    """What the template draws.

    Args:
        analysis: the numbers.
        predictions: class names and texts.
        found: of `scores`.
        shown: samples in the order of the page.
        sheets: their thumbnails.
    """
    places = np.empty(analysis.num_samples, dtype=np.int64)
    places[shown] = np.arange(len(shown))
    columns, drawn = analysis.columns(), []
    for name, score in zip(GALLERIES, found, strict=True):
        rows = largest(np.abs(score), SAMPLES_SHOWN).tolist()
        if not rows or (name != "bias_sq" and analysis.num_members == 1):
            continue
        cards = [_card(predictions, columns, row, int(places[row]), sheets) for row in rows]
        if name == "off_line":
            for card, distance in zip(cards, score[rows].tolist(), strict=True):
                side = "above" if distance > 0 else "below"
                card["factor"] = f"{math.exp(abs(distance)):.3g} times {side}"
        title, explanation = GALLERIES[name]
        drawn.append({"title": title, "explanation": explanation, "samples": cards})
    return drawn


def _card(
    predictions: Predictions, columns: dict[str, Column], row: int, place: int, sheets: Sprites
) -> dict[str, object]:
    names, members = class_names(predictions), len(predictions.members)
    at = {name: column.values[row].item() for name, column in columns.items()}
    sheet, cell = divmod(place, COLUMNS * ROWS)
    return {
        "place": place,
        "index": at["index"],
        "label": names[at["label"]],
        "prediction": names[at["prediction"]],
        "bias_sq": at["bias_sq"],
        "variance": at["variance"],
        "votes": round(members * (1 - at["error_rate"])),
        "sheet": sheet if place < sheets.number else None,
        "row": cell // COLUMNS,
        "column": cell % COLUMNS,
        "text": None if predictions.texts is None else predictions.texts[row],
    }
