"""The page of a comparison of reports, and its figures."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from bvalign.show.figures import Panel, RunScatter, alignment_multiples, slopes, summary_lines
from bvalign.show.report.comparison import SLOPES, Report
from bvalign.show.report.template import render

CAPTIONS = {
    "alignment": "One point per test sample, plug-in values, the same axes for all runs. Lines "
    "are fitted to the samples that the ensemble gets right.",
    "slopes": "Slopes whose intervals overlap may not differ at all. Intervals cover samples and "
    "members; with few members samples alone.",
}


def comparison_page(
    reports: Sequence[Report], comparison: dict[str, object], figures: dict[str, bytes]
) -> str:
    """Renders the HTML.

    Args:
        reports: those that are compared.
        comparison: the result of `compare_reports`.
        figures: PNG by name.
    """
    made = _made(reports)
    return render("compare.html.j2", made, "", figures, CAPTIONS, comparison=comparison)


def comparison_figures(reports: Sequence[Report]) -> dict[str, Figure]:
    """Plots the figures, by file name."""
    lines = {report.name: summary_lines(report.summary, SLOPES) for report in reports}
    runs = {
        report.name: RunScatter(
            Panel(
                "plug-in",
                report.samples["bias_sq"],
                report.samples["variance"],
                lines[report.name],
            ),
            report.samples["correct"],
            report.summary["num_members"],
            report.summary["num_classes"],
        )
        for report in reports
    }
    figures = {"alignment": alignment_multiples(runs)}
    return figures | ({"slopes": slopes(lines)} if any(lines.values()) else {})


def _made(reports: Sequence[Report]) -> dict[str, object]:
    """Collects the end of the page: the configuration that all runs have in common, and commits."""
    first = reports[0].summary["identity"]
    common = {
        key: value
        for key, value in first.items()
        if all(report.summary["identity"].get(key) == value for report in reports)
    }
    commits = {report.name: report.summary["provenance"].get("commit") for report in reports}
    return {
        "data": {"name": f"{len(reports)} runs"},
        "identity": common,
        "provenance": {f"commit of {name}": commit for name, commit in commits.items()},
        "versions": reports[0].summary["versions"],
    }
