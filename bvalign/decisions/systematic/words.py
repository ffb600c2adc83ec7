"""The card of systematic and chance errors, in words and as a chart."""

import math
from collections.abc import Mapping, Sequence

from bvalign.analysis.decompositions import NEARLY_ALL
from bvalign.analysis.intervals import Estimate
from bvalign.decisions.card import Chart, Curve
from bvalign.decisions.systematic.group_numbers import Group
from bvalign.decisions.systematic.held_back import HeldBack
from bvalign.decisions.systematic.stand_out import FALSE_DISCOVERIES

Numbers = Mapping[str, Estimate]
"""Of all samples, by name."""

MOST_NAMED, MOST_SHOWN, MOST_LETTERS = 3, 12, 28

ASSUMPTION = (
    "Members differ as those of the user do (other seeds, other draws of the data): what they all "
    "get wrong has a cause that they share, such as the training data, the architecture or the "
    "label itself. Groups are compared by the error rate of a member, whatever makes them differ."
)


def answer(size: tuple[int, int], numbers: Numbers, groups: Sequence[Group]) -> str:
    """Says how many errors are of which kind, and which groups stand out.

    Args:
        size: numbers of members M and samples N.
        numbers: of all samples.
        groups: of all columns.
    """
    return " ".join([_kinds(*size, numbers), *_groups(groups, numbers["error_rate"].value)])


def baseline(checked: HeldBack | None) -> str:
    """Says what members that were held back get wrong, by rule."""
    if checked is None:
        return "The simple baseline, the errors of one member, needs four members to be checked."
    systematic, surest, majority, member = (said(rate) for rate in checked.precision.values())
    if checked.precision["systematic"].value is None:
        return "No sample is named by half of the members, so there is nothing to check."
    wins = " and ".join(
        f"{_against(checked.precision['systematic'], checked.precision[rule])} {what}"
        for rule, what in (("majority", "a wrong majority"), ("surest", "the ranking"))
    )
    share, more = (100 * checked.named[rule] for rule in ("systematic", "majority"))
    return (
        f"Half of the members, checked on the other half: a held-back member is wrong on "
        f"{systematic} of what they get consistently wrong ({share:.1f}% of the samples), on "
        f"{surest} of a ranking, the surest errors of their mean, as many, on {majority} of what "
        f"their majority gets wrong ({more:.1f}%), and on {member} of what one member gets wrong: "
        f"consistency {wins}."
    )


def chart(numbers: Numbers, groups: Sequence[Group]) -> Chart | None:
    """Error rates of groups with their intervals, beside that of all samples."""
    chosen = [group for group in groups if group.column != "class"] or list(groups)
    named = len({group.column for group in chosen}) > 1
    chosen = sorted(chosen, key=lambda g: 2 if g.adjusted is None else g.adjusted)[:MOST_SHOWN]
    if len(chosen) < 2:
        return None
    chosen.sort(key=lambda group: -group.numbers["error_rate"].value)
    rows = [("all samples", numbers["error_rate"], False)]
    for group in chosen:
        name = f"{group.column}: {group.name}" if named else group.name
        rows.append((_short(name), group.numbers["error_rate"], group.stands_out))
    curves = [
        _points(name, [(at, rate) for at, (_, rate, out) in enumerate(rows) if out == stands_out])
        for name, stands_out in (("", False), ("stands out", True))
    ]
    return Chart(
        tuple(curve for curve in curves if len(curve.x)),
        "error rate of a member",
        "" if named else chosen[0].column,
        ticks=tuple(name for name, _, _ in rows),
    )


def said(number: Estimate) -> str:
    """A fraction in per cent, with the ends of its interval.

    >>> said(Estimate(0.25, (0.2, 0.31)))
    '25.0% (20.0% to 31.0%)'
    """
    if number.value is None:
        return f"none ({number.reason})"
    ends = number.quoted_interval
    inside = "" if ends is None else f" ({100 * ends[0]:.1f}% to {100 * ends[1]:.1f}%)"
    return f"{100 * number.value:.1f}%{inside}"


def _kinds(members: int, samples: int, numbers: Numbers) -> str:
    errors, systematic, chance = (
        round(numbers[name].value * samples) for name in ("ensemble_error", "systematic", "chance")
    )
    if members == 1:
        return (
            f"The member gets {errors:,} of {samples:,} samples wrong; it takes at least two "
            "members to see which of these errors others share."
        )
    if not errors:
        return f"The ensemble gets all {samples:,} samples right: there are no errors."
    least = math.ceil(NEARLY_ALL * members - 1e-9)
    who = f"all {members}" if least == members else f"at least {least} of {members}"
    few = " With so few members, many of these would not last." if members < 5 else ""
    rest = errors - systematic - chance
    last = f" On {rest:,} no member is right, but their classes differ." if rest else ""
    return (
        f"{systematic:,} of the ensemble's {errors:,} error{'s' * (errors != 1)} "
        f"({_share(numbers)}) {_are(systematic)} systematic: {who} members vote for the same wrong "
        f"class. {chance:,} {_are(chance)} due to chance: some members are right.{last}{few}"
    )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _share(numbers: Numbers) -> str:
    """The systematic share of the errors with its interval, for inside of brackets."""
    return said(numbers["systematic_share"]).replace(" (", ", 95% CI ").rstrip(")")


def _groups(groups: Sequence[Group], overall: float) -> list[str]:
    """Says which groups stand out; those that are worse than all samples come first."""
    tested = [group for group in groups if group.adjusted is not None]
    if not tested:
        return []
    out = [group for group in tested if group.stands_out]
    out.sort(key=lambda g: (g.numbers["error_rate"].value <= overall, g.p_value))
    columns = ", ".join(dict.fromkeys(group.column for group in tested))
    stand = "stands" if len(out) == 1 else "stand"
    about = f"{len(out)} of {len(tested)} groups (by {columns}) {stand} out from the rest"
    named = [
        f"{_short(f'{group.column} {group.name}')}: {said(group.numbers['error_rate'])}"
        for group in out[:MOST_NAMED]
    ]
    if len(out) > MOST_NAMED:
        named.append(f"{len(out) - MOST_NAMED} more in groups.json")
    rest = [f"A member is wrong on {overall:.1%} of all; {'; '.join(named)}."] if named else []
    return [f"{about} (false discovery rate {FALSE_DISCOVERIES:.0%}).", *rest]


def _points(name: str, rows: Sequence[tuple[int, Estimate]]) -> Curve:
    values = [rate.value for _, rate in rows]
    ends = [rate.quoted_interval or (rate.value, rate.value) for _, rate in rows]
    low, high = zip(*ends, strict=True) if ends else ((), ())
    return Curve(name, values, [at for at, _ in rows], low, high, "points")


def _against(rate: Estimate, other: Estimate) -> str:
    """What a rate is to another, as its interval tells."""
    low, high = rate.quoted_interval or (-math.inf, math.inf)
    if other.value is None or low <= other.value <= high:
        return "is level with"
    return "beats" if low > other.value else "loses to"


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 3] + "..."
