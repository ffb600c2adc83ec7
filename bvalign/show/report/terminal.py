"""The main numbers that a command prints: a table on a terminal, plain lines elsewhere."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.show.quantities import title
from bvalign.show.report.main_numbers import main_numbers
from bvalign.show.report.page.sentences import cautions
from bvalign.show.rounding import rounded


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
    for key, number, _ in main_numbers(analysis):
        value, *ends = rounded(number)
        alone = "" if number.interval else ", samples alone"
        yield title(key), value, " to ".join(ends) + alone if ends else ""
        if key == "member_accuracy" and analysis.num_members > 1:
            accuracy = analysis.member_accuracy
            yield "worst and best member", f"{accuracy.min():.4f}, {accuracy.max():.4f}", ""
