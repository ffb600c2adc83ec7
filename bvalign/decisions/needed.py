"""How many members a wanted value takes.

With the curve v(m) and its 95% intervals [low(m), high(m)], the number is the smallest m with v(m)
at the wanted value or better. Its interval inverts those of the curve: from the smallest m with
low(m), to the smallest with high(m), at the wanted value or better. An end is None where no number
of members gets there.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from bvalign.analysis.sizes import RiskCurve, SizeCurve

MOST_POWER = 20
"""Larger ensembles than two to that power are not looked at: they are their limit."""

POSSIBLE = {
    "risk": (0.0, 2.0),
    "error": (0.0, 1.0),
    "accuracy": (0.0, 1.0),
    "cross_entropy": (0.0, math.inf),
}
"""Name of a target -> the values that it can have."""


class Needed(NamedTuple):
    """Members that a wanted value takes."""

    wanted: float
    members: int | None  # None if no number suffices
    low: int | None  # 95% interval: even this end is beyond reach if None
    high: int | None
    sentence: str


def check_targets(targets: Mapping[str, object]) -> dict[str, float]:
    """The targets as numbers.

    Args:
        targets: wanted values by name.

    Raises:
        ValueError: an unknown name, no number, or one outside what is possible.
    """
    checked = {}
    for name, wanted in targets.items():
        if name not in POSSIBLE:
            known = " or ".join([", ".join([*POSSIBLE][:-1]), [*POSSIBLE][-1]])
            raise ValueError(f"target {name!r} is unknown; one is {known}, as in risk=0.1")
        try:
            value = float(wanted)
        except (TypeError, ValueError):
            raise ValueError(
                f"target {name} must be a number, as in {name}=0.1, got {wanted!r}"
            ) from None
        low, high = POSSIBLE[name]
        if not low <= value <= high or not math.isfinite(value):
            ends = f"from {low:g} to {high:g}" if math.isfinite(high) else f"at least {low:g}"
            raise ValueError(f"target {name} must be {ends}, got {wanted}")
        checked[name] = value
    return checked


def members_needed(name: str, wanted: float, curve: RiskCurve | SizeCurve | None) -> Needed:
    """Number of members that brings a number to its wanted value.

    Args:
        name: of the target.
        wanted: its value.
        curve: of that number over the members, of the error for accuracy; None of one member.
    """
    said = f"{name.replace('_', '-')} of {wanted:g}"
    if curve is None or not curve.defined:
        reason = "there is one member" if curve is None else curve.at(1).reason
        return Needed(wanted, None, None, None, f"Nothing is known of the {said}: {reason}.")
    most = 1 - wanted if name == "accuracy" else wanted
    members = _smallest(lambda size: curve.at(size).value <= most)
    low, high = (_smallest(lambda size, end=end: _end(curve, size, end) <= most) for end in (0, 1))
    if members is not None:
        low, high = min(low or 1, members), None if high is None else max(high, members)
        many = f"{members} member{'s' * (members != 1)}"
        until = f"to {high}" if high is not None else "upwards: perhaps no number suffices"
        return Needed(wanted, members, low, high, f"The {said} takes {many} ({low} {until}).")
    limit = curve.at(math.inf)
    perhaps = "" if low is None else f"; by their intervals, {low} might"
    best = 1 - limit.value if name == "accuracy" else limit.value
    sentence = f"No number of members reaches the {said}: the limit is {best:.4g}{perhaps}."
    return Needed(wanted, None, low, None, sentence)


def _end(curve: RiskCurve | SizeCurve, size: int | float, end: int) -> float:
    found = curve.at(size)
    return (found.quoted_interval or (found.value, found.value))[end]


def _smallest(enough: Callable[[int], bool]) -> int | None:
    """Smallest number of members that is enough, by doubling and bisection; None if none is."""
    above = next((2**k for k in range(MOST_POWER + 1) if enough(2**k)), None)
    if above is None or above == 1:
        return above
    below = above // 2
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if enough(middle) else (middle, above)
    return above
