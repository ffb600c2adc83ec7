"""The page of a comparison of reports, and its figures."""

from collections.abc import Sequence
from pathlib import Path

from bvalign.analysis.intervals import stored
from bvalign.show.figures import Panel, Plot, RunScatter, summary_lines, svg
from bvalign.show.figures.plots import differences_plot, scatters_plot, slopes_of_runs_plot
from bvalign.show.figures.runs import PairedDifference, RunSlopes
from bvalign.show.quantities import title
from bvalign.show.report.comparison.headline import headline
from bvalign.show.report.comparison.points import drawn, points
from bvalign.show.report.comparison.stored_reports import Report, main_numbers
from bvalign.show.report.comparison.tables import WIDTH, axis, grouped, shares, tables
from bvalign.show.report.explorer.texts import as_script
from bvalign.show.report.page.template import render

LINES_SHOWN = ("logit_slope", "ols")
MOST_DRAWN = 12
"""Pairs of runs in the figure of differences, which is for papers: the page has tables."""

MOST_PAIRS = 6
"""Pairs of runs in a list; before more of them stands a matrix."""

COLUMNS = {
    **{name: title(name) for name in ("accuracy", "member_accuracy", "risk", "bias_sq")},
    "variance": title("variance"),
    "slope": "slope",
    "offset": "offset",
    "ols": "slope of these members",
}
"""Numbers in the table of runs, and their headings."""

CONTENTS = {
    "summary": "Summary",
    "numbers": "Runs",
    "differences": "Paired differences",
    "figures": "Side by side",
    "agreement": "Agreement",
    "appendix": "Appendix",
}

PAGE_WIDTH = 13.0
"""Inches of 96 pixels of the figures of a page."""


def comparison_page(
    reports: Sequence[Report],
    comparison: dict[str, object],
    plots: dict[str, Plot],
    out: Path,
) -> bytes:
    """Renders the HTML.

    Args:
        reports: those that are compared.
        comparison: the result of `compare_reports`.
        plots: the result of `comparison_figures`.
        out: folder of the page, for links to the reports.
    """
    from plotly.offline import get_plotlyjs

    found, data = tables(comparison), points(reports, comparison, out)
    samples = max(len(report.samples["index"]) for report in reports)
    pairs, unpaired = comparison["pairs"], comparison["unpaired"]
    names = {run["run"]: run["name"] for run in comparison["runs"]}

    def named(pair: dict[str, object]) -> str:
        return " and ".join(names[run] for run in pair["runs"])

    more = {
        "comparison": comparison,
        "runs": comparison["runs"],
        "alike": len({(r["data"], r["samples"], r["members"]) for r in comparison["runs"]}) == 1,
        "reports": [run["report"] for run in data["runs"]],
        "contents": CONTENTS,
        "columns": COLUMNS,
        "tables": found,
        "many": len(pairs) > MOST_PAIRS,
        "width": WIDTH,
        "notes": grouped([(note, named(pair)) for pair in pairs for note in _notes(pair)]),
        "unpaired": grouped([(f"No difference: {p['reason']}", named(p)) for p in unpaired]),
        "agreement": _agreement(comparison),
        "comparison_places": [] if not pairs else [[*names].index(run) for run in pairs[0]["runs"]],
        "samples": samples,
        "shown": len(drawn(samples, len(reports))),
        "plotly": get_plotlyjs(),
        "page_data": as_script(data),
    }
    said = "\n".join(headline(comparison, found))
    shown = {name: plot for name, plot in plots.items() if name != "differences"}
    figures = {name: svg(plot, name, PAGE_WIDTH) for name, plot in shown.items()}
    captions = {name: plot.caption for name, plot in plots.items()}
    return render("comparison/compare.html.j2", _made(reports), said, figures, captions, **more)


def _notes(pair: dict[str, object]) -> list[str]:
    if pair["matched_by"] == "fingerprint":
        return pair["notes"]
    matched = f"samples are matched by {pair['matched_by']}, as there is no common fingerprint"
    return [matched, *pair["notes"]]


def _agreement(comparison: dict[str, object]) -> list[tuple[list[int], dict[str, object]]]:
    """Pairs with the places of their runs, the least alike first."""
    places = {run["run"]: place for place, run in enumerate(comparison["runs"])}
    found = [([places[run] for run in pair["runs"]], pair) for pair in comparison["pairs"]]
    return sorted(found, key=lambda entry: entry[1]["bias_sq_rank_correlation"] or -1.0)


def comparison_figures(reports: Sequence[Report], comparison: dict[str, object]) -> dict[str, Plot]:
    """Describes the figures, by file name.

    Args:
        reports: those that are compared.
        comparison: the result of `compare_reports`.
    """
    names = {run["run"]: run["name"] for run in comparison["runs"]}
    numbers = {report.name: main_numbers(report.summary) for report in reports}
    scatters = {
        names[report.name]: RunScatter(
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
        run["name"]: RunSlopes(
            *(numbers[run["run"]][name] for name in ("slope", "offset", "ols")), bool(run["flags"])
        )
        for run in comparison["runs"]
    }
    if any(number.value is not None for run in sloped.values() for number in run[:3]):
        plots["slopes"] = slopes_of_runs_plot(sloped)
    pairs = {
        " − ".join(names[run] for run in pair["runs"]): {
            axis(name): PairedDifference(stored(found), bool(found["apart"]), shares(found))
            for name, found in pair["differences"].items()
        }
        for pair in comparison["pairs"]
    }
    return plots | ({"differences": differences_plot(pairs, MOST_DRAWN)} if pairs else {})


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
