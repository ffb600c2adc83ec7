"""The style of all progress bars."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column


def progress(console: Console) -> Progress:
    """Makes a bar with the percentage done, the time elapsed and the time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        # on a narrow terminal the bar gets shorter, not the times
        TimeElapsedColumn(table_column=Column(min_width=7)),
        TextColumn("left"),
        TimeRemainingColumn(table_column=Column(min_width=7)),
        console=console,
        transient=False,
    )
