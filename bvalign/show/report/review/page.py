"""A page to review the most suspicious labels, by keyboard, that exports what was decided."""

from bvalign.analysis.summary import Analysis
from bvalign.decisions.wrong_labels import REVIEW, WrongLabels
from bvalign.predictions import Predictions
from bvalign.show.report.explorer.texts import as_script, texts_within
from bvalign.show.report.page.template import class_names, render
from bvalign.show.report.page.thumbnails import PER_ROW, sprites

__all__ = ["REVIEW", "review_page"]

MOST_BYTES = 5_000_000
"""Of all images together."""

TEXT_BYTES = 2**20
SIDE = 160
"""Pixels of the longer side of an image; a judgement needs more than a thumbnail."""


def review_page(
    found: WrongLabels,
    analysis: Analysis,
    predictions: Predictions,
    summary: dict[str, object],
) -> bytes:
    """Renders the HTML.

    Args:
        found: with at least one suspicious label.
        analysis: votes and mean probabilities are read.
        predictions: class names, images and texts are read.
        summary: as in summary.json.
    """
    rows, lead = found.suspicious(), analysis.table.leading
    order = rows.numpy()
    sheets = sprites(predictions.images, order, MOST_BYTES, largest=SIDE)
    data, texts = summary["data"], []
    if predictions.texts is not None:
        texts = texts_within([predictions.texts[row] for row in order.tolist()], TEXT_BYTES).texts
    columns = {
        "index": found.index,
        "label": found.label,
        "suggested": found.suggested,
        "probability": found.wrong,
        "classes": lead.classes,
        "probs": lead.probs,
        "votes": lead.votes,
    }
    content = {
        "columns": {name: column[rows].tolist() for name, column in columns.items()},
        "names": class_names(predictions),
        "members": analysis.num_members,
        "texts": texts,
        "images": sheets.number,
        "per_row": PER_ROW,
        "stored_as": f"bvalign review {data['name']} {data['fingerprint']}",
        "file": f"{data['name']}-labels-reviewed.csv",
    }
    return render(
        "review/review.html.j2",
        summary,
        found.card().answer,
        {},
        {},
        page_data=as_script(content),
        sprites=sheets,
        number=len(rows),
        names=content["names"],
    )
