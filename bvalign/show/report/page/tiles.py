"""The tiles of the first screen: four to six numbers that say what the ensemble does."""

from typing import NamedTuple

from bvalign.analysis.intervals import Estimate, stored

Summary = dict[str, object]


class Tile(NamedTuple):
    """One number of the first screen."""

    title: str
    value: str
    interval: str  # 95%, or why there is none
    note: str  # one line
    href: str  # its section
    flagged: bool = False  # not to be quoted


def tiles(summary: Summary) -> list[Tile]:
    """Chooses the tiles by what the numbers say.

    Args:
        summary: as in summary.json.
    """
    if not summary["labels"]:
        return []
    accuracy = stored(summary["accuracy"])
    return [Tile("Accuracy", f"{accuracy.value:.2%}", _ends(accuracy), "", "#losses")]


def _ends(number: Estimate) -> str:
    low, high = number.quoted_interval
    return f"{low:.2%} to {high:.2%}"
