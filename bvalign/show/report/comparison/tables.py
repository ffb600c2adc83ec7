"""What the tables of a comparison show, in an order in which many pairs of runs stay readable."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bvalign.show.quantities import title

UNITS = {
    "accuracy": "fraction",
    "member_accuracy": "fraction",
    "slope": "",
    "offset": "natural log",
}
"""Of the numbers that are no squared probability."""

UNBIASED = ("bias_sq", "variance")
"""Numbers whose differences are those of the unbiased values."""

WIDTH = 200
"""Units of the drawing of an interval."""


class Row(NamedTuple):
    """A difference of a number of two runs."""

    places: tuple[int, int]  # of the runs
    found: Mapping[str, object]  # as in compare.json
    ends: Sequence[float] | None  # of the 95% interval
    alone: bool  # whether that is over samples alone
    shares: Sequence[float]  # of its variance: samples, members of each; none if unknown
    drawn: Mapping[str, float] | None  # ends, value and zero on a scale of WIDTH


class Differences(NamedTuple):
    """The differences of a number, those that are told apart first, the largest first."""

    title: str
    unit: str
    rows: Sequence[Row]
    apart: int
    order: Sequence[int]  # places of the paired runs, from the highest number to the lowest

    def cell(self, first: int, second: int) -> tuple[float, Row] | None:
        """The difference of two runs in this order; None for a run and itself or without one."""
        for row in self.rows:
            if sorted(row.places) == sorted((first, second)) and row.found["value"] is not None:
                value = row.found["value"]
                return value if row.places == (first, second) else 0.0 - value, row
        return None


def tables(comparison: Mapping[str, object]) -> dict[str, Differences]:
    """Arranges the paired differences by number.

    Args:
        comparison: the result of `compare_reports`.
    """
    pairs = comparison["pairs"]
    places = {run["run"]: place for place, run in enumerate(comparison["runs"])}
    found = {}
    for name in pairs[0]["differences"] if pairs else ():
        own = {
            tuple(places[run] for run in pair["runs"]): pair["differences"][name] for pair in pairs
        }
        values = [run[name] for run in comparison["runs"]]
        paired = {place for pair in own for place in pair if values[place] is not None}
        order = sorted(paired, key=lambda place, values=values: -values[place])
        found[name] = _table(name, own, order)
    return found


def axis(name: str) -> str:
    """The label of an axis of differences of a number.

    Args:
        name: of the number.
    """
    unit = _unit(name)
    return f"Δ {_heading(name)}" + (f" ({unit})" if unit else "")


def grouped(entries: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Gathers what is said of several pairs.

    Args:
        entries: what is said, and the pair.

    >>> grouped([("other data", "a and b"), ("other data", "a and c")])
    {'other data': ['a and b', 'a and c']}
    """
    found: dict[str, list[str]] = {}
    for said, pair in entries:
        found.setdefault(said, []).append(pair)
    return found


def shares(found: Mapping[str, object]) -> list[float]:
    """Shares of the variance of a difference: samples, members of each run; none if unknown."""
    variance = found["variance"]
    if variance is None or variance["members"] is None:
        return []
    parts = [variance["samples"], *variance["members"]]
    return [part / sum(parts) for part in parts] if sum(parts) else []


def _table(
    name: str, found: Mapping[tuple[int, int], Mapping[str, object]], order: Sequence[int]
) -> Differences:
    ends = [one["interval"] or one["interval_samples"] for one in found.values()]
    both = [end for pair in ends if pair for end in pair]
    scale = (min([0.0, *both]), max([0.0, *both]))
    rows = [
        Row(
            places,
            one,
            pair,
            not one["interval"],
            shares(one),
            _drawn(one["value"], pair, scale) if pair else None,
        )
        for (places, one), pair in zip(found.items(), ends, strict=True)
    ]
    rows.sort(key=lambda row: (not row.found["apart"], -abs(row.found["value"] or 0.0)))
    apart = sum(bool(row.found["apart"]) for row in rows)
    return Differences(_heading(name), _unit(name), rows, apart, order)


def _heading(name: str) -> str:
    return title(name) + (", unbiased" if name in UNBIASED else "")


def _unit(name: str) -> str:
    return UNITS.get(name, "squared probability")


def _drawn(value: float, ends: Sequence[float], scale: tuple[float, float]) -> dict[str, float]:
    low, high = scale
    factor = (WIDTH - 10) / ((high - low) or 1.0)
    named = {"zero": 0.0, "low": ends[0], "high": ends[1], "value": value}
    return {name: round(5 + factor * (one - low), 1) for name, one in named.items()}
