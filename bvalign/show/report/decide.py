"""The section "Decide" of a report: the cards as plain data, and their charts."""

from bvalign.decisions import Card, Decisions
from bvalign.show.figures.plot import Plot
from bvalign.show.figures.plots import chart_plot
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


def charts(decisions: Decisions, num_samples: int, num_members: int) -> dict[str, Plot]:
    """Describes the chart of each card that has one, by file name.

    Args:
        decisions: what the analysis answers.
        num_samples: N.
        num_members: M.
    """
    plots = {
        CHART + key: chart_plot(decision.card(), num_samples, num_members)
        for key, decision in decisions.items()
    }
    return {name: plot for name, plot in plots.items() if plot is not None}


def _said(card: Card) -> dict[str, object]:
    return {name: getattr(card, name) for name in OF_CARD}
