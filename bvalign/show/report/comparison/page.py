"""The page of a comparison of reports, and its figures."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from bvalign.analysis.intervals import stored
from bvalign.show.figures import Panel, RunScatter, alignment_multiples, summary_lines
from bvalign.show.figures.runs import PairedDifference, RunSlopes, paired_differences, slopes
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

CAPTIONS = {
    "alignment": "One point per test sample, plug-in values, the same axes for all runs. Lines "
    "are those of the samples that the ensemble gets right.",
    "slopes": "Slope and offset of the population, and the slope of these members. Whether two "
    "runs differ is in the paired differences: intervals that overlap do not say.",
    "differences": "Δ is the first run minus the second, over the same samples, with 95% "
    "intervals, and the shares of its variance: more samples reduce one, more members of either "
    f"run the others. At most {MOST_PAIRS} pairs; the tables have all.",
}


def comparison_page(
    reports: Sequence[Report], comparison: dict[str, object], figures: dict[str, bytes]
) -> bytes:
    """Renders the HTML.

    Args:
        reports: those that are compared.
        comparison: the result of `compare_reports`.
        figures: PNG by name.
    """
    made = _made(reports)
    more = {"comparison": comparison, "titles": TITLES, "shares": _percentages}
    return render("comparison/compare.html.j2", made, "", figures, CAPTIONS, **more)


def comparison_figures(
    reports: Sequence[Report], comparison: dict[str, object]
) -> dict[str, Figure]:
    """Plots the figures, by file name.

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
    figures = {"alignment": alignment_multiples(scatters)}
    sloped = {
        run["run"]: RunSlopes(
            *(numbers[run["run"]][name] for name in ("slope", "offset", "ols")), bool(run["flags"])
        )
        for run in comparison["runs"]
    }
    if any(number.value is not None for run in sloped.values() for number in run[:3]):
        figures["slopes"] = slopes(sloped)
    pairs = {
        " − ".join(pair["runs"]): {
            _axis(name): _paired(found) for name, found in pair["differences"].items()
        }
        for pair in comparison["pairs"][:MOST_PAIRS]
    }
    return figures | ({"differences": paired_differences(pairs)} if pairs else {})


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
