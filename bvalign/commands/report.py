"""An analysis and its report on disk: `bvalign analyze`, `bvalign report`, the end of a fit."""

import os
from pathlib import Path

from bvalign.analysis.slopes import Selection
from bvalign.analysis.summary import Analysis
from bvalign.analysis.unlabelled import UnlabelledAnalysis
from bvalign.commands.analyze import analyze_predictions
from bvalign.predictions import open_predictions
from bvalign.show.report import print_main_numbers, write_report

PLACE = (("RANK", "0"), ("WORLD_SIZE", "1"))
"""Where torchrun says a process's number and how many there are, with what holds without it."""


def analyze_and_report(
    source: Path | str,
    out: Path | str,
    selection: Selection = "same",
    place: tuple[int, int] | None = None,
) -> Analysis | UnlabelledAnalysis:
    """Analyses what `open_predictions` reads, writes the report, prints the main numbers.

    Args:
        source: what `open_predictions` takes.
        out: folder of the report.
        selection: which samples count as correct in the fits.
        place: this process's number and how many there are; from torchrun by default.

    Raises:
        ValueError: the predictions cannot be read, are fewer than the processes, or have no labels
            to select by.
    """
    predictions, origin = open_predictions(source)
    place = place or tuple(int(os.environ.get(name, default)) for name, default in PLACE)
    analysis = analyze_predictions(predictions, selection, place)
    if place[0] == 0:
        write_report(analysis, predictions, origin, Path(out))
        print_main_numbers(analysis)
        print(f"report: {Path(out) / 'report.html'}")
    return analysis
