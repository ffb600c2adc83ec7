"""A goal of a question, and what was measured."""

from typing import NamedTuple


class Goal(NamedTuple):
    """Reached or missed; None where it could not be measured."""

    goal: str
    measured: str
    reached: bool | None


def lines(question: str, goals: list[Goal]) -> list[str]:
    """Rows of a markdown table."""
    said = {True: "reached", False: "**missed**", None: "not measured"}
    return [f"| {question} | {g.goal} | {g.measured} | {said[g.reached]} |" for g in goals]
