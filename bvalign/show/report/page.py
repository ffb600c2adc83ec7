"""The report as one HTML page that needs no network, at most MOST_BYTES long."""

from bvalign.analysis.slopes import ESTIMATORS
from bvalign.analysis.summary import Analysis
from bvalign.predictions import Predictions
from bvalign.show.report.explorer import as_script, explorer, samples_in_page, texts_in_page
from bvalign.show.report.galleries import extremes_first, galleries, scores
from bvalign.show.report.sentences import in_words
from bvalign.show.report.template import class_names, render
from bvalign.show.report.thumbnails import COLUMNS, ROWS, sprites

MOST_BYTES = 15_000_000
REST_BYTES = 300_000
"""Of words, tables and cards, at most."""

CAPTIONS = {
    "alignment_log": "One point per test sample, darker where more of them lie. Both axes span the "
    "same decades, so slope one is the dashed diagonal. Left the values of these members, right "
    "the unbiased estimates for the law they are drawn from. cross_half runs through means of "
    "bins, which lie above the middle of the points, ols through the middle.",
    "alignment_linear": "The same on linear axes: samples that the ensemble gets wrong lie to the "
    "right of squared bias 1/2, below the edge of what is feasible.",
    "slope_over_members": "The same ensemble cut into smaller ones. A slope that still moves at "
    "the right end is not yet a property of the models.",
    "ratio": "Variance over squared bias, sample by sample. No ensemble of M members can exceed "
    "M - 1, whatever its models are.",
    "gain_from_members": "What a larger ensemble would bring. The mean of m members has the risk "
    "bias² + variance / m (unbiased values): more members take the variance away and never the "
    "squared bias, which is the dashed limit. Right, how often the mean of m members errs.",
    "disagreement": "How often two members disagree, over how often they err, for every pair. On "
    "average the two are equal if the shares of votes are calibrated; below the line the members "
    "err together more than they should.",
    "collapse": "The model of neural collapse takes the logits of a sample as a margin for the "
    "label plus noise. Left, the noise in these logits beside the laws it could follow. Right, "
    "what the best of them predicts at the margins of these samples: for this many members, and "
    "for infinitely many.",
    "reliability": "Is the mean of the members calibrated? Where accuracy equals confidence in "
    "every bin, the mean gap between squared bias and variance is uncertainty alone. Below, the "
    "number of samples in each bin.",
}


def page(
    analysis: Analysis,
    predictions: Predictions,
    summary: dict[str, object],
    figures: dict[str, bytes],
) -> str:
    """The HTML.

    Args:
        analysis: the numbers.
        predictions: class names, and images or texts.
        summary: as in summary.json.
        figures: PNG by name.
    """
    from plotly.offline import get_plotlyjs

    scored = scores(analysis)
    shown = samples_in_page(extremes_first(scored))
    names, plotly = class_names(predictions), get_plotlyjs()
    texts = texts_in_page(predictions, shown)
    data = explorer(analysis, names, shown)
    used = len(plotly) + len(as_script(data | {"texts": texts}).encode())
    used += sum(4 * len(content) // 3 for content in figures.values()) + REST_BYTES
    sheets = sprites(predictions.images, shown, max(MOST_BYTES - used, 0))
    data |= {
        "texts": texts,
        "kind": "text" if texts else "image" if sheets.sheets else "",
        "thumbnails": sheets.number,
        "per_sheet": COLUMNS * ROWS,
        "per_row": COLUMNS,
    }
    return render(
        "report.html.j2",
        summary,
        "\n".join([*in_words(summary), *(f"Note: {note}" for note in summary["notes"])]),
        figures,
        CAPTIONS,
        sentences={name: estimator.sentence for name, estimator in ESTIMATORS.items()},
        extremes=galleries(analysis, predictions, scored, shown, sheets),
        sprites=sheets,
        class_names=names,
        views=data["views"],
        left_out=analysis.num_samples - len(shown),
        plotly=plotly,
        page_data=as_script(data),
    )
