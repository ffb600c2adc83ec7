"""The main numbers that a command prints: a table on a terminal, plain lines elsewhere."""

import math
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from bvalign.analysis.slopes import quoted_estimators
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis


def print_main_numbers(
    analysis: Analysis | UnlabelledAnalysis, console: Console | None = None
) -> None:
    """Prints the main numbers.

    Args:
        analysis: the results.
        console: standard output by default.
    """
    console = console or Console()
    if isinstance(analysis, UnlabelledAnalysis) or not console.is_terminal:
        print(analysis, file=console.file)
        return
    title = f"{analysis.num_members} members on {analysis.num_samples} samples"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_column("95% interval", justify="right")
    for row in _rows(analysis):
        table.add_row(*row)
    console.print(table)
    for note in analysis.notes:
        console.print(f"note: {note}", markup=False, highlight=False)


def _rows(analysis: Analysis) -> Iterator[tuple[str, str, str]]:
    accuracy = analysis.member_accuracy
    spread = f"members {float(accuracy.min()):.4f} to {float(accuracy.max()):.4f}"
    yield "accuracy of a member", f"{float(accuracy.mean()):.4f}", spread
    yield "accuracy of the ensemble", f"{analysis.accuracy:.4f}", ""
    means = analysis.means()
    for name, words in (("risk", "risk"), ("bias_sq", "squared bias"), ("variance", "variance")):
        value, error = map(float, means[name])
        ends = "" if math.isnan(error) else _ends(value - 1.96 * error, value + 1.96 * error, ".3g")
        yield f"mean {words}", f"{value:.4g}", ends
    for name in quoted_estimators():
        slope = analysis.alignment.estimators[name]["slope"]
        interval = slope.quoted_interval
        if slope.value is None:
            yield f"slope {name}", "none", slope.reason
        else:
            yield f"slope {name}", f"{slope.value:.3f}", _ends(*interval, ".3f") if interval else ""


def _ends(low: float, high: float, digits: str) -> str:
    return f"{low:{digits}} to {high:{digits}}"
