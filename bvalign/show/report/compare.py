"""Several reports beside each other: the page and its figures."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from bvalign.show.figures import Panel, RunScatter, alignment_multiples, slopes, summary_lines
from bvalign.show.report.comparison import SLOPES, Report
from bvalign.show.report.template import render

CAPTIONS = {
    "alignment": "One point per test sample, plug-in values, the same axes for all runs. Slopes "
    "are of the samples that the ensemble gets right.",
    "slopes": "Slopes that differ by less than their intervals are not known to differ. Intervals "
    "are over samples and members; with few members over samples alone.",
}


def comparison_page(
    reports: Sequence[Report], comparison: dict[str, object], figures: dict[str, bytes]
) -> str:
    """The HTML.

    Args:
        reports: what is compared.
        comparison: of `compare_reports`.
        figures: PNG by name.
    """
    made = _made(reports)
    return render("compare.html.j2", made, "", figures, CAPTIONS, comparison=comparison)


def comparison_figures(reports: Sequence[Report]) -> dict[str, Figure]:
    """The figures, by file name."""
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
    drawn = {"alignment": alignment_multiples(runs)}
    return drawn | ({"slopes": slopes(lines)} if any(lines.values()) else {})


def _made(reports: Sequence[Report]) -> dict[str, object]:
    """What the end of the page says: what all runs share, and where they come from."""
    first = reports[0].summary["identity"]
    same = {
        key: value
        for key, value in first.items()
        if all(report.summary["identity"].get(key) == value for report in reports)
    }
    commits = {report.name: report.summary["provenance"].get("commit") for report in reports}
    return {
        "data": {"name": f"{len(reports)} runs"},
        "identity": same,
        "provenance": {f"commit of {name}": commit for name, commit in commits.items()},
        "versions": reports[0].summary["versions"],
    }
