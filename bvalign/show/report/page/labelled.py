"""The report as one HTML page of at most MOST_BYTES that needs no network."""

from bvalign.analysis.slopes import FLAGS
from bvalign.analysis.summary import Analysis
from bvalign.predictions import Predictions
from bvalign.show.report.explorer.data import as_script, explorer, samples_in_page, texts_in_page
from bvalign.show.report.page.galleries import extremes_first, galleries, scores
from bvalign.show.report.page.sentences import in_words
from bvalign.show.report.page.template import class_names, render
from bvalign.show.report.page.thumbnails import PER_ROW, PER_SHEET, sprites

MOST_BYTES = 15_000_000
REST_BYTES = 300_000
"""Upper bound of the words, tables and cards."""


def page(
    analysis: Analysis,
    predictions: Predictions,
    summary: dict[str, object],
    figures: dict[str, str],
    captions: dict[str, str],
) -> bytes:
    """Renders the HTML.

    Args:
        analysis: the results.
        predictions: class names, images and texts are read.
        summary: as in summary.json.
        figures: SVG by name.
        captions: by the same names.
    """
    from plotly.offline import get_plotlyjs

    scored = scores(analysis)
    shown = samples_in_page(extremes_first(scored))
    names, plotly = class_names(predictions), get_plotlyjs()
    texts = texts_in_page(predictions, shown)
    data = explorer(analysis, names, shown)
    used = len(plotly) + len(as_script(data | {"texts": texts}).encode())
    used += sum(len(content.encode()) for content in figures.values()) + REST_BYTES
    sheets = sprites(predictions.images, shown, max(MOST_BYTES - used, 0))
    data |= {
        "texts": texts,
        "kind": "text" if texts else "image" if sheets.sheets else "",
        "thumbnails": sheets.number,
        "per_sheet": PER_SHEET,
        "per_row": PER_ROW,
    }
    return render(
        "page/report.html.j2",
        summary,
        "\n".join([*in_words(summary), *(f"Note: {note}" for note in summary["notes"])]),
        figures,
        captions,
        flags=FLAGS,
        extremes=galleries(analysis, predictions, scored, shown, sheets),
        sprites=sheets,
        class_names=names,
        views=data["views"],
        soft=analysis.soft_labels,
        left_out=analysis.num_samples - len(shown),
        plotly=plotly,
        page_data=as_script(data),
    )
