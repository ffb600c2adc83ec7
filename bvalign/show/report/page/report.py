"""The report as one HTML page of at most MOST_BYTES that needs no network, with labels or not."""

from collections.abc import Mapping
from types import MappingProxyType

from bvalign.analysis.slopes import FLAGS
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions import Decisions
from bvalign.predictions import Predictions
from bvalign.show.quantities import QUANTITIES
from bvalign.show.report.explorer.explored import explore
from bvalign.show.report.page.contents import contents
from bvalign.show.report.page.galleries import galleries, least_sure, scores
from bvalign.show.report.page.template import render
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
    *,
    decisions: Decisions = MappingProxyType({}),
) -> bytes:
    """Renders the HTML.

    Args:
        analysis: the results.
        predictions: class names, images and texts are read.
        summary: as in summary.json.
        figures: SVG by name, with the charts of decisions.
        captions: by the same names.
        decisions: what the analysis answers.
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
    }
    explored = explore(analysis, predictions, decisions, left)
    more |= explored.variables
    if isinstance(analysis, UnlabelledAnalysis):
        more["extremes"] = least_sure(analysis, predictions)
    else:
        shown = (explored.shown, explored.sprites)
        more["extremes"] = galleries(analysis, predictions, scores(analysis), *shown)
    return render("page/report.html.j2", summary, "", figures, captions, **more)


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
