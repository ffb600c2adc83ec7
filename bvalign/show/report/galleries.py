"""The galleries of the report: its most biased, most variable and most off-line samples."""

import math

import numpy as np

from bvalign.analysis.decompositions.columns import Column
from bvalign.analysis.summary import Analysis
from bvalign.predictions import Predictions
from bvalign.show.figures.lines import fitted_lines
from bvalign.show.report.extremes import Scores, distance_to_line, largest
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
