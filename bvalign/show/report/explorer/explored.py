"""The explorer as variables of the templates of the page, within a limit of bytes."""

from importlib.resources import files
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions import Decisions
from bvalign.predictions import Predictions
from bvalign.show.report.explorer.data import explorer, samples_in_page
from bvalign.show.report.explorer.texts import as_script, shortened, texts_within
from bvalign.show.report.page.galleries import extremes_first, scores
from bvalign.show.report.page.template import class_names
from bvalign.show.report.page.thumbnails import PER_ROW, PER_SHEET, Sprites, sprites

TABLE = "vendor/ag-grid-community.min.js"


class Explored(NamedTuple):
    """What the page holds of the samples."""

    shown: Int[np.ndarray, " shown"]  # in the order of the page
    sprites: Sprites
    variables: dict[str, object]  # of the templates of this folder


def explore(
    analysis: Analysis | UnlabelledAnalysis,
    predictions: Predictions,
    decisions: Decisions,
    limit: int,
) -> Explored:
    """Collects values, texts and thumbnails of the samples.

    Args:
        analysis: the results.
        predictions: class names, images and texts are read.
        decisions: what the analysis answers.
        limit: bytes of all of it. Texts come before images, and the longest are shortened.
    """
    shown = samples_in_page(_order(analysis))
    names = class_names(predictions)
    data = explorer(analysis, names, shown, decisions)
    if predictions.sample_names is not None:
        data["names"] = [shortened(predictions.sample_names[row], 100) for row in shown.tolist()]
    table = files("bvalign.show.report.explorer").joinpath(TABLE).read_text()
    limit -= len(table) + len(as_script(data).encode())
    texts = [] if predictions.texts is None else [predictions.texts[row] for row in shown.tolist()]
    kept = texts_within(texts, max(limit, 0))
    page_texts = as_script(kept.texts)
    sheets = sprites(predictions.images, shown, max(limit - len(page_texts.encode()), 0))
    data |= {"thumbnails": sheets.number, "per_sheet": PER_SHEET, "per_row": PER_ROW}
    data["picture"] = "text" if texts else "image" if sheets.sheets else ""
    variables = {
        "page_data": as_script(data),
        "page_texts": page_texts,
        "table_library": table,
        "class_names": names,
        "views": data["views"],
        "scenarios": data["scenarios"],
        "histograms": {name: data["seen"][name] for name in data["histograms"]},
        "left_out": analysis.num_samples - len(shown),
        "shortened": kept.shortened,
        "without_image": len(shown) - sheets.number if sheets.sheets else 0,
        "sprites": sheets,
    }
    return Explored(shown, sheets, variables)


def _order(analysis: Analysis | UnlabelledAnalysis) -> Int[np.ndarray, " samples"]:
    """All samples, the most extreme ones first."""
    if isinstance(analysis, UnlabelledAnalysis):
        return extremes_first((analysis["error_label_free"], analysis["variance"]))
    return extremes_first(scores(analysis))
