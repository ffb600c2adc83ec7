"""Verdicts on claims, by thresholds that the study states before the numbers are seen.

A claim of a study:

    claim, says     its name in the paper, and its content in words
    number          the number of each run that is held against it
    runs            patterns of run names, all by default
    compare         pairs [a, b] of run names: the number of a minus that of b, instead of runs
    within          [low, high], .inf for an open end
    share           fraction of the evidence that must agree, 1 by default
    beside          a number that is shown with it and decides nothing, as the offset with a slope

A piece of evidence says yes if its 95% interval lies within the range, no if it lies outside, and
otherwise leaves the claim open, as does a number with reasons not to quote it. The claim is
`confirmed` if at least `share` of the evidence says yes, `differs` if more than 1 - share says no,
and otherwise `open`, as it is without evidence. The errors of two runs are independent, so their
half-widths add in quadrature. A number without an interval counts as exact.
"""

import math
from collections.abc import Iterable
from fnmatch import fnmatch
from typing import NamedTuple

from bvalign.analysis.intervals import Estimate
from bvalign.show.rounding import rounded

BOTH = "samples and members"

Number = dict[str, object]
"""`value`, `interval` [low, high] or None; and for some `over`, what the interval is over, `flags`,
names of reasons not to quote it, `reason`, why there is no value, and `unit`, of the value."""

Numbers = dict[str, Number]
"""The numbers of one run, or of one pair of runs, by name."""


class Evidence(NamedTuple):
    """One number held against a claim."""

    name: str
    value: float
    interval: list[float] | None
    over: str | None
    flags: list[str]
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
    asked = _evidence(claim, claim["number"], runs)
    evidence = [_judged(name, number, low, high) for name, number in asked]
    yes, no = (sum(e.says == word for e in evidence) for word in ("yes", "no"))
    share, num = claim.get("share", 1), len(evidence)
    decision = "open"
    if num and yes >= share * num:
        decision = "confirmed"
    elif no > (1 - share) * num:
        decision = "differs"
    judged = {
        **{key: claim[key] for key in ("claim", "says", "number")},
        "within": [end if math.isfinite(end) else None for end in (low, high)],
        "share": share,
        "verdict": decision,
        "yes": yes,
        "no": no,
        "evidence": [e._asdict() for e in evidence],
        "undefined": _undefined(claim, runs),
    }
    if "beside" in claim:
        shown = [
            {"name": name} | number for name, number in _evidence(claim, claim["beside"], runs)
        ]
        judged["beside"] = {"number": claim["beside"], "evidence": shown}
    return judged


def sentences(judged: dict[str, object]) -> str:
    """The sentences that state a verdict and its numbers."""
    evidence = judged["evidence"]
    reasons = [f"Without {', '.join(runs)}: {why}." for why, runs in judged["undefined"].items()]
    if not evidence:
        return " ".join(
            [f"{judged['claim']}, {judged['says']}: open, nothing measured yet.", *reasons]
        )
    bounds = judged["within"]
    range_text = {
        (False, False): "{0:g} to {1:g}",
        (True, False): "at most {1:g}",
        (False, True): "at least {0:g}",
        (True, True): "anything",
    }[bounds[0] is None, bounds[1] is None].format(*(b if b is not None else 0 for b in bounds))
    parts = [
        f"{judged['claim']}, {judged['says']}: {judged['verdict']}, {judged['yes']} of "
        f"{len(evidence)} intervals of {judged['number']} lie within {range_text} and "
        f"{judged['no']} outside."
    ]
    flagged = sum(bool(e["flags"]) for e in evidence)
    if flagged:
        parts.append(f"{flagged} of them must not be quoted and count for neither.")
    parts.append(f"It is {extremes_text(evidence)}.")
    if judged.get("beside", {}).get("evidence"):
        beside = judged["beside"]
        parts.append(f"Beside it, {beside['number']} is {extremes_text(beside['evidence'])}.")
    return " ".join([*parts, *reasons])


def extremes_text(evidence: Iterable[dict[str, object]]) -> str:
    """The smallest and the largest of some numbers with the names of their runs."""
    ordered = sorted(evidence, key=lambda e: e["value"])
    ends = ordered if len(ordered) == 1 else [ordered[0], ordered[-1]]
    return " to ".join(f"{number_text(end)} ({end['name']})" for end in ends)


def estimate_of(number: Number) -> Estimate:
    """A number as figures and roundings of the package take it; over members alone as samples."""
    value, ends, reason = (number.get(key) for key in ("value", "interval", "reason"))
    low_high = tuple(map(float, ends)) if ends else None
    part = "interval" if (number.get("over") or BOTH) == BOTH else "interval_samples"
    return Estimate(value, reason=reason, **{part: low_high})


def number_text(number: Number) -> str:
    """A number rounded to what its interval supports, with that and with what it leaves out.

    >>> number_text({"value": 1, "interval": [0.5, 1.5], "over": "samples", "flags": ["rare"]})
    '1.00 [0.50, 1.50] over samples alone, do not quote: rare'
    """
    value, *ends = rounded(estimate_of(number)) or [f"none ({number.get('reason')})"]
    text = value + number.get("unit", "") + (f" [{', '.join(ends)}]" if ends else "")
    over = (number.get("over") or BOTH) if ends else BOTH
    text += "" if over == BOTH else f" over {over} alone"
    flags = ", ".join(number.get("flags") or ())
    return f"{text}, do not quote: {flags}" if flags else text


def difference(a: Number, b: Number) -> Number:
    """The first number minus the second, with independent errors and the flags of both."""
    value, whole = a["value"] - b["value"], [n for n in (a, b) if n.get("interval")]
    half = math.hypot(*((n["interval"][1] - n["interval"][0]) / 2 for n in whole))
    overs = [n.get("over") or BOTH for n in whole]
    return {
        "value": value,
        "interval": [value - half, value + half] if whole else None,
        "over": next((over for over in overs if over != BOTH), BOTH),
        "flags": list(dict.fromkeys(flag for n in (a, b) for flag in n.get("flags", ()))),
    }


def _evidence(
    claim: dict[str, object], number: str, runs: dict[str, Numbers]
) -> list[tuple[str, Number]]:
    """The runs or pairs of runs that the claim asks for, with one of their numbers."""
    known = {
        name: numbers[number]
        for name, numbers in runs.items()
        if numbers.get(number, {}).get("value") is not None
    }
    if "compare" in claim:
        pairs = [(a, b) for a, b in claim["compare"] if a in known and b in known]
        return [(f"{a} - {b}", difference(known[a], known[b])) for a, b in pairs]
    return [(name, known[name]) for name in _asked(claim, known)]


def _undefined(claim: dict[str, object], runs: dict[str, Numbers]) -> dict[str, list[str]]:
    """Reason -> runs that the claim asks for and that have no value for it."""
    reasons: dict[str, list[str]] = {}
    for name in _asked(claim, runs):
        reason = runs[name].get(claim["number"], {}).get("reason")
        if reason:
            reasons.setdefault(reason, []).append(name)
    return reasons


def _asked(claim: dict[str, object], runs: Iterable[str]) -> list[str]:
    """The names among some that the claim asks for."""
    if "compare" in claim:
        names = {name for pair in claim["compare"] for name in pair}
        return [name for name in runs if name in names]
    patterns = claim.get("runs", ["*"])
    return [name for name in runs if any(fnmatch(name, pattern) for pattern in patterns)]


def _judged(name: str, number: Number, low: float, high: float) -> Evidence:
    value, interval = number["value"], number.get("interval")
    over = (number.get("over") or BOTH) if interval else None
    flags = list(number.get("flags", ()))
    says = "open" if flags else _judge(interval or [value, value], low, high)
    return Evidence(name, value, interval, over, flags, says)


def _judge(interval: list[float], low: float, high: float) -> str:
    if low <= interval[0] and interval[1] <= high:
        return "yes"
    return "no" if interval[1] < low or interval[0] > high else "open"
