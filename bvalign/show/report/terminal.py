"""The main numbers that a command prints: a table on a terminal, plain lines elsewhere."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from bvalign.analysis.intervals import Estimate
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.show.report.page.sentences import cautions

MEANS = {
    "risk": "risk",
    "noise": "label noise",
    "bias_sq": "squared bias",
    "variance": "variance",
}
"""Means in the table, and their names; there is label noise with soft labels only."""


def print_main_numbers(
    analysis: Analysis | UnlabelledAnalysis, console: Console | None = None
) -> None:
    """Prints the main numbers, and what a reader has to know before quoting the slope.

    Args:
        analysis: the results.
        console: standard output by default.
    """
    console = console or Console()
    if isinstance(analysis, UnlabelledAnalysis):
        print(analysis, file=console.file)
        return
    population = analysis.alignment.logit_slope
    said = list(
        cautions(population.slope, population.offset, population.flags, analysis.num_members)
    )
    if not console.is_terminal:
        print(analysis, *said, sep="\n", file=console.file)
        return
    table = Table(title=analysis.size, title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_column("95% interval", justify="right")
    for row in _rows(analysis):
        table.add_row(*row)
    console.print(table)
    for line in [*said, *(f"note: {note}" for note in analysis.notes)]:
        console.print(line, markup=False, highlight=False)


def _rows(analysis: Analysis) -> Iterator[tuple[str, str, str]]:
    accuracy, means, found = analysis.member_accuracy, analysis.means, analysis.alignment
    population = found.logit_slope
    yield _row("accuracy of a member", analysis.mean_member_accuracy, ".4f")
    if analysis.num_members > 1:
        ends = f"{float(accuracy.min()):.4f}, {float(accuracy.max()):.4f}"
        yield "worst and best member", ends, ""
    yield _row("accuracy of the ensemble", analysis.accuracy, ".4f")
    for name, words in MEANS.items():
        if name in means:
            yield _row(f"mean {words}", means[name], ".4g")
    yield _row("population slope", population.slope, ".3f")
    yield _row("population offset", population.offset, ".3f")
    yield _row("slope of these members (ols)", found.ols["slope"], ".3f")


def _row(name: str, number: Estimate, digits: str) -> tuple[str, str, str]:
    if number.value is None:
        return name, "none", ""
    ends = ""
    if number.quoted_interval:
        low, high = number.quoted_interval
        ends = f"{low:{digits}} to {high:{digits}}"
        ends += "" if number.interval else ", samples alone"
    return name, f"{number.value:{digits}}", ends
