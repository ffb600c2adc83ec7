"""The style of all progress bars."""

from importlib.util import find_spec

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column


def progress(console: Console) -> Progress:
    """Makes a bar with the percentage done, the time elapsed and the time left.

    In a notebook rich draws it with ipywidgets; without them there is none, and no warning.
    """
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
        disable=console.is_jupyter and find_spec("ipywidgets") is None,
    )
