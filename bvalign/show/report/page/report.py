"""The report as one HTML page of at most MOST_BYTES that needs no network, with labels or not."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from bvalign.analysis.slopes import FLAGS
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.predictions import Predictions
from bvalign.show.quantities import QUANTITIES
from bvalign.show.report.explorer.data import as_script, explorer, samples_in_page, texts_in_page
from bvalign.show.report.page.contents import contents
from bvalign.show.report.page.galleries import extremes_first, galleries, least_sure, scores
from bvalign.show.report.page.template import class_names, render
from bvalign.show.report.page.thumbnails import PER_ROW, PER_SHEET, Sprites, sprites
from bvalign.show.report.page.tiles import tiles
from bvalign.show.report.page.what_to_do import what_to_do

MOST_BYTES = 15_000_000
REST_BYTES = 300_000
"""Upper bound of the words, tables and cards."""


def page(
    analysis: Analysis | UnlabelledAnalysis,
    predictions: Predictions,
    summary: dict[str, object],
    figures: dict[str, str],
    captions: Mapping[str, str],
) -> bytes:
    """Renders the HTML.

    Args:
        analysis: the results.
        predictions: class names, images and texts are read.
        summary: as in summary.json.
        figures: SVG by name, with the charts of decisions.
        captions: by the same names.
    """
    left = MOST_BYTES - REST_BYTES - sum(len(content.encode()) for content in figures.values())
    found = summary.get("without_labels", {})
    more = {
        "size": _size(summary),
        "tiles": tiles(summary),
        "what_to_do": what_to_do(summary),
        "contents": contents(summary, figures),
        "flags": FLAGS,
        "glossary": QUANTITIES,
        "soft": bool(summary.get("soft_labels")),
        "without_labels": found,
        "quantities": {k: v for k, v in found.items() if "methods" in (v or ())},
        "class_names": class_names(predictions),
    }
    more |= _explored(analysis, predictions, left)
    return render("page/report.html.j2", summary, "", figures, captions, **more)


def _explored(
    analysis: Analysis | UnlabelledAnalysis, predictions: Predictions, left: int
) -> dict[str, object]:
    """Variables of the explorer and the galleries, within so many bytes."""
    if isinstance(analysis, UnlabelledAnalysis):
        return {
            "page_data": "",
            "left_out": 0,
            "sprites": Sprites(),
            "extremes": least_sure(analysis, predictions),
        }
    from plotly.offline import get_plotlyjs

    scored, plotly = scores(analysis), get_plotlyjs()
    shown: Int[np.ndarray, " shown"] = samples_in_page(extremes_first(scored))
    texts = texts_in_page(predictions, shown)
    data = explorer(analysis, class_names(predictions), shown)
    left -= len(plotly) + len(as_script(data | {"texts": texts}).encode())
    sheets = sprites(predictions.images, shown, max(left, 0))
    data |= {
        "texts": texts,
        "kind": "text" if texts else "image" if sheets.sheets else "",
        "thumbnails": sheets.number,
        "per_sheet": PER_SHEET,
        "per_row": PER_ROW,
    }
    return {
        "page_data": as_script(data),
        "plotly": plotly,
        "views": data["views"],
        "left_out": analysis.num_samples - len(shown),
        "sprites": sheets,
        "extremes": galleries(analysis, predictions, scored, shown, sheets),
    }


def _size(summary: dict[str, object]) -> str:
    """Says how much was analysed."""
    members, samples = summary["num_members"], summary["num_samples"]
    training = summary["provenance"].get("split") == "train"
    kind = "training sample" if training else "test sample" if summary["labels"] else "sample"
    said = [
        f"{members} member{'s' * (members != 1)}",
        f"{samples:,} {kind}{'s' * (samples != 1)}" + " without labels" * (not summary["labels"]),
        f"{summary['num_classes']} classes",
        summary["identity"].get("model.arch"),
    ]
    return ", ".join(filter(None, said))
