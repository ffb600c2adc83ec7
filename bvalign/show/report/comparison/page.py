"""The page of a comparison of reports, and its figures."""

from collections.abc import Sequence

from bvalign.analysis.intervals import stored
from bvalign.show.figures import Panel, Plot, RunScatter, summary_lines, svg
from bvalign.show.figures.plots import differences_plot, scatters_plot, slopes_of_runs_plot
from bvalign.show.figures.runs import PairedDifference, RunSlopes
from bvalign.show.report.comparison.differences import TITLES
from bvalign.show.report.comparison.stored_reports import Report, main_numbers
from bvalign.show.report.page.template import render

LINES_SHOWN = ("logit_slope", "ols")
MOST_PAIRS = 12
"""Pairs of runs in the figure of differences; the table has all."""

UNITS = {
    "accuracy": "fraction",
    "member_accuracy": "fraction",
    "slope": "",
    "offset": "natural log",
}
"""Of the numbers that are no squared probability."""

PAGE_WIDTH = 10.5
"""Inches of 96 pixels of the figures of a page."""


def comparison_page(
    reports: Sequence[Report], comparison: dict[str, object], plots: dict[str, Plot]
) -> bytes:
    """Renders the HTML.

    Args:
        reports: those that are compared.
        comparison: the result of `compare_reports`.
        plots: the result of `comparison_figures`.
    """
    made = _made(reports)
    figures = {name: svg(plot, name, PAGE_WIDTH) for name, plot in plots.items()}
    captions = {name: plot.caption for name, plot in plots.items()}
    more = {"comparison": comparison, "titles": TITLES, "shares": _percentages}
    return render("comparison/compare.html.j2", made, "", figures, captions, **more)


def comparison_figures(reports: Sequence[Report], comparison: dict[str, object]) -> dict[str, Plot]:
    """Describes the figures, by file name.

    Args:
        reports: those that are compared.
        comparison: the result of `compare_reports`.
    """
    numbers = {report.name: main_numbers(report.summary) for report in reports}
    scatters = {
        report.name: RunScatter(
            Panel(
                "plug-in",
                report.samples["bias_sq"],
                report.samples["variance"],
                summary_lines(report.summary, LINES_SHOWN),
                bounded=not report.summary.get("soft_labels"),
            ),
            report.samples["correct"],
            report.summary["num_members"],
            report.summary["num_classes"],
        )
        for report in reports
    }
    plots = {"alignment": scatters_plot(scatters)}
    sloped = {
        run["run"]: RunSlopes(
            *(numbers[run["run"]][name] for name in ("slope", "offset", "ols")), bool(run["flags"])
        )
        for run in comparison["runs"]
    }
    if any(number.value is not None for run in sloped.values() for number in run[:3]):
        plots["slopes"] = slopes_of_runs_plot(sloped)
    pairs = {
        " − ".join(pair["runs"]): {
            _axis(name): _paired(found) for name, found in pair["differences"].items()
        }
        for pair in comparison["pairs"]
    }
    return plots | ({"differences": differences_plot(pairs, MOST_PAIRS)} if pairs else {})


def _axis(name: str) -> str:
    unit = UNITS.get(name, "squared probability")
    return f"Δ {TITLES[name]}" + (f" ({unit})" if unit else "")


def _paired(found: dict[str, object]) -> PairedDifference:
    """What the figure shows of a difference as in compare.json."""
    return PairedDifference(stored(found), bool(found["apart"]), _shares(found))


def _shares(found: dict[str, object]) -> list[float]:
    """Shares of the variance of a difference: samples, members of each; none if unknown."""
    variance = found["variance"]
    if variance is None or variance["members"] is None:
        return []
    parts = [variance["samples"], *variance["members"]]
    return [part / sum(parts) for part in parts] if sum(parts) else []


def _percentages(found: dict[str, object]) -> str:
    return ", ".join(f"{share:.0%}" for share in _shares(found)) or "unknown"


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
