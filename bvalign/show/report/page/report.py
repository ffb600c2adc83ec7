"""The report as one HTML page of at most MOST_BYTES that needs no network, with labels or not."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from urllib.parse import quote

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.decisions import Decisions
from bvalign.predictions import Predictions
from bvalign.show.quantities import QUANTITIES, title
from bvalign.show.report.explorer.explored import explore
from bvalign.show.report.main_numbers import tables
from bvalign.show.report.page.contents import contents
from bvalign.show.report.page.galleries import galleries
from bvalign.show.report.page.numbers import all_numbers
from bvalign.show.report.page.sentences import of_alignment, of_risk
from bvalign.show.report.page.template import render
from bvalign.show.report.page.tiles import tiles
from bvalign.show.report.page.what_to_do import what_to_do

MOST_BYTES = 15_000_000
REST_BYTES = 600_000
"""Upper bound of the words, tables and cards."""


FILES = {
    "summary.json": "all numbers, with their intervals and what they were made from",
    "samples.csv": "a row for each sample",
    "samples.parquet": "the same for DuckDB, Polars, pandas or Embedding Atlas",
    "abstain.json": "the rule for accepting predictions, for bvalign apply",
    "calibrate.json": "the calibration, for bvalign apply",
    "groups.json": "error rates of all groups",
    "review.html": "the most suspicious labels, to be reviewed by keyboard",
}
"""What stands beside the page."""


def page(
    analysis: Analysis | UnlabelledAnalysis,
    predictions: Predictions,
    summary: dict[str, object],
    figures: dict[str, str],
    captions: Mapping[str, str],
    *,
    decisions: Decisions = MappingProxyType({}),
    files: Sequence[str] = (),
) -> bytes:
    """Renders the HTML.

    Args:
        analysis: the results.
        predictions: class names, images and texts are read.
        summary: as in summary.json.
        figures: SVG by name, with the charts of decisions.
        captions: by the same names.
        decisions: what the analysis answers.
        files: names of those beside the page, to be linked.
    """
    left = MOST_BYTES - REST_BYTES - sum(len(content.encode()) for content in figures.values())
    found = summary.get("without_labels", {})
    more = {
        "size": _size(summary),
        "tiles": tiles(summary),
        "contents": contents(summary, figures),
        "of_alignment": [*of_alignment(summary)] if summary["labels"] else [],
        "of_risk": [*of_risk(summary)] if summary["labels"] else [],
        "all_numbers": all_numbers(summary),
        "files": {name: FILES[name] for name in files},
        "all_samples": next((name for name in files if name.startswith("samples.")), None),
        "tables": _tables(analysis),
        "glossary": QUANTITIES,
        "title_of": title,
        "soft": bool(summary.get("soft_labels")),
        "without_labels": found,
        "quantities": {k: v for k, v in found.items() if "methods" in (v or ())},
    }
    explored = explore(analysis, predictions, decisions, left)
    more |= explored.variables
    more["extremes"] = galleries(analysis, predictions, explored.shown, explored.sprites)
    more["what_to_do"] = what_to_do(summary, explored.variables["scenarios"])
    return render("page/report.html.j2", summary, "", figures, captions, **more)


def _tables(analysis: Analysis | UnlabelledAnalysis) -> dict[str, tuple[str, str]]:
    """The main numbers as files inside the page: name -> content as an address, what it is."""
    found = tables(analysis)
    return {
        "main_numbers.csv": (
            _address("text/csv", found["main_numbers.csv"]),
            "the main numbers, rounded",
        ),
        "table.tex": (
            _address("text/plain", found["table.tex"]),
            "the same for LaTeX (booktabs)",
        ),
    }


def _address(kind: str, content: str) -> str:
    return f"data:{kind};charset=utf-8,{quote(content)}"


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
