"""The page of a comparison of reports, and its figures."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bvalign.analysis.intervals import stored
from bvalign.show.figures import Panel, RunScatter, alignment_multiples, summary_lines
from bvalign.show.figures.runs import PairedDifference, RunSlopes, paired_differences, slopes
from bvalign.show.quantities import title
from bvalign.show.report.comparison.headline import headline
from bvalign.show.report.comparison.points import drawn, points
from bvalign.show.report.comparison.stored_reports import Report, main_numbers
from bvalign.show.report.comparison.tables import WIDTH, axis, grouped, shares, tables
from bvalign.show.report.explorer.data import as_script
from bvalign.show.report.page.template import render

LINES_SHOWN = ("logit_slope", "ols")
MOST_PAIRS = 12
"""Pairs of runs in the file of the figure of differences; the tables of the page have all."""

COLUMNS = {
    **{name: title(name) for name in ("accuracy", "member_accuracy", "risk", "bias_sq")},
    "variance": title("variance"),
    "slope": "slope",
    "offset": "offset",
    "ols": "slope of these members",
}
"""Numbers in the table of runs, and their headings."""

MATRIX_PAIRS = 6
"""Pairs of runs beyond which a matrix comes before the list of differences."""

CONTENTS = {
    "summary": "Summary",
    "numbers": "Runs",
    "differences": "Paired differences",
    "figures": "Side by side",
    "agreement": "Agreement",
    "appendix": "Appendix",
}

CAPTIONS = {
    "alignment": "One point per test sample, plug-in values, the same axes for all runs. Lines "
    "are those of the samples that the ensemble gets right.",
    "slopes": "Slope and offset of the population, and the slope of these members. Whether two "
    "runs differ is in the paired differences: intervals that overlap do not say.",
}


def comparison_page(
    reports: Sequence[Report],
    comparison: dict[str, object],
    figures: dict[str, bytes],
    out: Path,
) -> bytes:
    """Renders the HTML.

    Args:
        reports: those that are compared.
        comparison: the result of `compare_reports`.
        figures: PNG by name.
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
        "reports": [run["report"] for run in data["runs"]],
        "contents": CONTENTS,
        "columns": COLUMNS,
        "tables": found,
        "many": len(pairs) > MATRIX_PAIRS,
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
    return render("comparison/compare.html.j2", _made(reports), said, figures, CAPTIONS, **more)


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


def comparison_figures(
    reports: Sequence[Report], comparison: dict[str, object]
) -> dict[str, Figure]:
    """Plots the figures, by file name.

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
    figures = {"alignment": alignment_multiples(scatters)}
    sloped = {
        run["name"]: RunSlopes(
            *(numbers[run["run"]][name] for name in ("slope", "offset", "ols")), bool(run["flags"])
        )
        for run in comparison["runs"]
    }
    if any(number.value is not None for run in sloped.values() for number in run[:3]):
        figures["slopes"] = slopes(sloped)
    pairs = {
        " − ".join(names[run] for run in pair["runs"]): {
            axis(name): _paired(found) for name, found in pair["differences"].items()
        }
        for pair in comparison["pairs"][:MOST_PAIRS]
    }
    return figures | ({"differences": paired_differences(pairs)} if pairs else {})


def _paired(found: dict[str, object]) -> PairedDifference:
    """What the figure shows of a difference as in compare.json."""
    return PairedDifference(stored(found), bool(found["apart"]), shares(found))


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
