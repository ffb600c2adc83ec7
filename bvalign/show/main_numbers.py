"""The main numbers at the end of a command: a table on a terminal, lines in a pipe or a log."""

import math
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from bvalign.analysis.slopes import quoted_estimators
from bvalign.analysis.summary import Analysis
from bvalign.show.tables import with_error


def print_main_numbers(analysis: Analysis, console: Console | None = None) -> None:
    """Prints the numbers of `main_numbers`.

    Args:
        analysis: the numbers.
        console: standard output by default.
    """
    console = console or Console()
    if not console.is_terminal:
        print(main_numbers(analysis), file=console.file)
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


def main_numbers(analysis: Analysis) -> str:
    """The few lines that a reader needs, in words."""
    means, accuracy = analysis.means(), analysis.member_accuracy
    ensemble = float(analysis.decomposition.correct.double().mean())
    lines = [
        f"{analysis.num_members} members on {analysis.num_samples} samples: accuracy of a member "
        f"{float(accuracy.mean()):.4f}, of the ensemble {ensemble:.4f}"
    ]
    if analysis.num_members == 1:
        lines.append("one member has no variance: means and accuracy only")
    bias_sq, variance, risk = (means[k] for k in ("bias_sq", "variance", "risk"))
    share = variance["value"] / risk["value"] if risk["value"] else math.nan
    lines.append(
        f"mean squared bias {with_error(bias_sq)}, variance {with_error(variance)} "
        f"({share:.0%} of the risk {with_error(risk)})"
    )
    for name in quoted_estimators():
        estimate = analysis.alignment.estimators[name]["slope"]
        if estimate.value is None:
            lines.append(f"slope {name}: none ({estimate.reason})")
            continue
        interval = estimate.quoted_interval
        ends = ", 95% [{:.3f}, {:.3f}]".format(*interval) if interval else ", no interval"
        lines.append(
            f"slope {name}: {estimate.value:.3f}{ends}, over {analysis.alignment.num_correct} "
            "correct samples"
        )
    return "\n".join([*lines, *(f"note: {note}" for note in analysis.notes)])


def _rows(analysis: Analysis) -> Iterator[tuple[str, str, str]]:
    accuracy = analysis.member_accuracy
    spread = f"members {float(accuracy.min()):.4f} to {float(accuracy.max()):.4f}"
    yield "accuracy of a member", f"{float(accuracy.mean()):.4f}", spread
    ensemble = float(analysis.decomposition.correct.double().mean())
    yield "accuracy of the ensemble", f"{ensemble:.4f}", ""
    means = analysis.means()
    for name, words in (("risk", "risk"), ("bias_sq", "squared bias"), ("variance", "variance")):
        value, error = means[name]["value"], means[name]["standard_error"]
        ends = "" if error is None else _ends(value - 1.96 * error, value + 1.96 * error, ".3g")
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
