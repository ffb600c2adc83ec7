"""The section "Decide" of a report: the cards as plain data, and their charts."""

from matplotlib.figure import Figure

from bvalign.decisions import Card, Decisions
from bvalign.show.figures.charts import chart
from bvalign.show.report.page.template import CHART
from bvalign.show.report.summary_json import plain

OF_DECISIONS = {"abstain.json", "calibrate.json", "groups.json"}
"""Files that decisions may write beside the report."""

OF_CARD = ("question", "answer", "number", "assumption", "baseline", "page", "beside")


def cards(decisions: Decisions) -> dict[str, dict[str, object]]:
    """Returns question, answer and numbers by key, as in summary.json."""
    return {
        key: plain(_said(decision.card()) | decision.summary())
        for key, decision in decisions.items()
    }


def charts(decisions: Decisions) -> dict[str, Figure]:
    """Plots the chart of each card that has one, by file name."""
    plots = {key: decision.card().chart for key, decision in decisions.items()}
    return {CHART + key: chart(data) for key, data in plots.items() if data is not None}


def _said(card: Card) -> dict[str, object]:
    return {name: getattr(card, name) for name in OF_CARD}
