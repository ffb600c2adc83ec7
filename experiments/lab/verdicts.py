"""Verdicts on claims, by thresholds that the study states before the numbers are seen.

A claim of a study:

    claim, says     its name in the paper, and its content in words
    number          the number of each run that is held against it
    runs            patterns of run names, all by default
    compare         pairs [a, b] of run names: the number of a minus that of b, instead of runs
    within          [low, high], .inf for an open end
    share           fraction of the evidence that must agree, 1 by default

A piece of evidence says yes if its 95% interval lies within the range, no if it lies outside, and
otherwise leaves the claim open. The claim is `confirmed` if at least `share` of the evidence says
yes, `differs` if more than 1 - share says no, and otherwise `open`, as it is without evidence. The
errors of two runs are independent, so their half-widths add in quadrature. A number without an
interval counts as exact.
"""

import math
from fnmatch import fnmatch
from typing import NamedTuple

Number = dict[str, object]
"""`value`, and `interval` [low, high] or None."""

Numbers = dict[str, Number]
"""The numbers of one run, or of one pair of runs, by name."""


class Evidence(NamedTuple):
    """One number held against a claim."""

    name: str
    value: float
    interval: list[float] | None
    says: str  # yes, no, open


def verdict(claim: dict[str, object], runs: dict[str, Numbers]) -> dict[str, object]:
    """The verdict on one claim, with its evidence.

    Args:
        claim: a claim of a study.
        runs: run name -> number name -> number.

    >>> claim = {"claim": "C3", "says": "slope near one", "number": "slope", "within": [0.9, 1.1]}
    >>> verdict(claim, {"a": {"slope": {"value": 1.0, "interval": [0.95, 1.05]}}})["verdict"]
    'confirmed'
    """
    low, high = claim["within"]
    evidence = [
        Evidence(name, value, interval, _judge(interval or [value, value], low, high))
        for name, value, interval in _evidence(claim, runs)
    ]
    yes, no = (sum(e.says == word for e in evidence) for word in ("yes", "no"))
    share, num = claim.get("share", 1), len(evidence)
    decision = "open"
    if num and yes >= share * num:
        decision = "confirmed"
    elif no > (1 - share) * num:
        decision = "differs"
    return {
        **{key: claim[key] for key in ("claim", "says", "number")},
        "within": [end if math.isfinite(end) else None for end in (low, high)],
        "share": share,
        "verdict": decision,
        "yes": yes,
        "no": no,
        "evidence": [e._asdict() for e in evidence],
    }


def sentences(judged: dict[str, object]) -> str:
    """Two sentences that state a verdict and its numbers."""
    evidence = judged["evidence"]
    bounds = judged["within"]
    range_text = {
        (False, False): "{0:g} to {1:g}",
        (True, False): "at most {1:g}",
        (False, True): "at least {0:g}",
        (True, True): "anything",
    }[bounds[0] is None, bounds[1] is None].format(*(b if b is not None else 0 for b in bounds))
    first = (
        f"{judged['claim']}, {judged['says']}: {judged['verdict']}, {judged['yes']} of "
        f"{len(evidence)} intervals of {judged['number']} lie within {range_text} and "
        f"{judged['no']} outside."
    )
    if not evidence:
        return f"{judged['claim']}, {judged['says']}: open, nothing measured yet."
    ordered = sorted(evidence, key=lambda e: e["value"])
    ends = [ordered[0]] if len(ordered) == 1 else [ordered[0], ordered[-1]]
    extremes = " to ".join(f"{number_text(end)} ({end['name']})" for end in ends)
    return f"{first} It is {extremes}."


def number_text(number: Number) -> str:
    """A number with its interval, to three significant digits."""
    text = f"{number['value']:.3g}"
    interval = number.get("interval")
    return text if interval is None else f"{text} [{interval[0]:.3g}, {interval[1]:.3g}]"


def _evidence(
    claim: dict[str, object], runs: dict[str, Numbers]
) -> list[tuple[str, float, list[float] | None]]:
    """Name, value and interval of each number that the claim asks for."""
    known = {
        name: numbers[claim["number"]]
        for name, numbers in runs.items()
        if numbers.get(claim["number"], {}).get("value") is not None
    }
    if "compare" in claim:
        pairs = [(a, b) for a, b in claim["compare"] if a in known and b in known]
        return [(f"{a} - {b}", *_difference(known[a], known[b])) for a, b in pairs]
    patterns = claim.get("runs", ["*"])
    return [
        (name, number["value"], number.get("interval"))
        for name, number in known.items()
        if any(fnmatch(name, pattern) for pattern in patterns)
    ]


def _difference(a: Number, b: Number) -> tuple[float, list[float] | None]:
    value = a["value"] - b["value"]
    widths = [(n["interval"][1] - n["interval"][0]) / 2 for n in (a, b) if n.get("interval")]
    half = math.hypot(*widths)
    return value, [value - half, value + half] if widths else None


def _judge(interval: list[float], low: float, high: float) -> str:
    if low <= interval[0] and interval[1] <= high:
        return "yes"
    return "no" if interval[1] < low or interval[0] > high else "open"
