"""What every question about an ensemble gives: its numbers, and a card that says them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bvalign.analysis.decompositions import Column
from bvalign.analysis.intervals import Estimate


class Curve(NamedTuple):
    """Points of a chart, joined or not."""

    name: str  # in the legend; none if empty
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None  # ends of 95% intervals
    high: Sequence[float] | None = None
    style: Literal["line", "dashed", "points"] = "line"


class Chart(NamedTuple):
    """A small figure as data."""

    curves: tuple[Curve, ...]
    x_label: str  # with its unit
    y_label: str
    log_x: bool = False
    log_y: bool = False
    ticks: tuple[str, ...] = ()  # names of the positions 0, 1, ... on the y axis


@dataclass(frozen=True)
class Card:
    """A question and its answer, for a reader who has not read the documentation.

    Attributes:
        key: of the question, as in summary.json.
        question: in a few words.
        answer: one to three sentences with their intervals.
        number: the main one; one without a value says why there is no answer.
        assumption: what must hold for it.
        baseline: the simple way to the same number, what it gives, and which of the two is better.
        chart: a small figure, if there is something to see.
        page: of the documentation.
        beside: name of a file beside the report that goes with it, or empty.
    """

    key: str
    question: str
    answer: str
    number: Estimate
    assumption: str
    baseline: str
    chart: Chart | None
    page: str
    beside: str = ""


class Decision:
    """The numbers that answer a question; each question has a class of its own."""

    def card(self) -> Card:
        """Says the answer."""
        raise NotImplementedError

    def __str__(self) -> str:
        """Question and answer."""
        card = self.card()
        return f"{card.question} {card.answer}"

    def summary(self) -> dict[str, object]:
        """Numbers for summary.json, beside those of the card."""
        return {}

    def columns(self) -> dict[str, Column]:
        """Further columns of samples.csv."""
        return {}

    def files(self) -> dict[str, dict[str, object]]:
        """Further files beside the report: name -> content, ready for JSON."""
        return {}
