"""Whether numbers confirm a claim, by thresholds that the study states before they are seen.

A claim of a study:

    claim, says     its name in the paper, and in words
    number          which number of the runs
    runs            patterns of run names, all by default
    compare         pairs [a, b] of run names: the number of a minus that of b, instead of runs
    within          [low, high], .inf where it is open
    share           of the evidence that must agree, 1 by default

Each piece of evidence says yes if its 95% interval lies within, no if it lies outside, else it
leaves the claim open. The claim is `confirmed` if at least `share` say yes, `differs` if more than
1 - share say no, else `open`; without evidence it is open. Errors of two runs are independent:
their half-widths add in quadrature. A number without interval is taken as exact.
"""

import math
from fnmatch import fnmatch
from typing import NamedTuple

Number = dict[str, object]
"""`value`, and `interval` [low, high] or None."""


class Evidence(NamedTuple):
    """One number that is held against a claim."""

    name: str
    value: float
    interval: list[float] | None
    says: str  # yes, no, open


def verdict(claim: dict[str, object], runs: dict[str, dict[str, Number]]) -> dict[str, object]:
    """The verdict on one claim, with what it rests on.

    Args:
        claim: of a study.
        runs: run name -> number name -> number.

    >>> claim = {"claim": "C3", "says": "slope near one", "number": "slope", "within": [0.9, 1.1]}
    >>> verdict(claim, {"a": {"slope": {"value": 1.0, "interval": [0.95, 1.05]}}})["verdict"]
    'confirmed'
    """
    low, high = claim["within"]
    evidence = [
        Evidence(name, value, interval, _judge(interval or [value, value], low, high))
        for name, value, interval in _found(claim, runs)
    ]
    yes, no = (sum(e.says == word for e in evidence) for word in ("yes", "no"))
    share, num = claim.get("share", 1), len(evidence)
    found = "open"
    if num and yes >= share * num:
        found = "confirmed"
    elif no > (1 - share) * num:
        found = "differs"
    return {
        **{key: claim[key] for key in ("claim", "says", "number")},
        "within": [end if math.isfinite(end) else None for end in (low, high)],
        "share": share,
        "verdict": found,
        "yes": yes,
        "no": no,
        "evidence": [e._asdict() for e in evidence],
    }


def sentences(found: dict[str, object]) -> str:
    """A verdict in two sentences, made of its numbers."""
    evidence = found["evidence"]
    bounds = found["within"]
    range_text = {
        (False, False): "{0:g} to {1:g}",
        (True, False): "at most {1:g}",
        (False, True): "at least {0:g}",
        (True, True): "anything",
    }[bounds[0] is None, bounds[1] is None].format(*(b if b is not None else 0 for b in bounds))
    first = (
        f"{found['claim']}, {found['says']}: {found['verdict']}, {found['yes']} of {len(evidence)} "
        f"intervals of {found['number']} lie within {range_text} and {found['no']} outside."
    )
    if not evidence:
        return f"{found['claim']}, {found['says']}: open, nothing measured yet."
    ordered = sorted(evidence, key=lambda e: e["value"])
    ends = [ordered[0]] if len(ordered) == 1 else [ordered[0], ordered[-1]]
    extremes = " to ".join(f"{number_text(end)} ({end['name']})" for end in ends)
    return f"{first} It is {extremes}."


def number_text(number: Number) -> str:
    """A number with its interval, three significant digits."""
    text = f"{number['value']:.3g}"
    interval = number.get("interval")
    return text if interval is None else f"{text} [{interval[0]:.3g}, {interval[1]:.3g}]"


def _found(
    claim: dict[str, object], runs: dict[str, dict[str, Number]]
) -> list[tuple[str, float, list[float] | None]]:
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
