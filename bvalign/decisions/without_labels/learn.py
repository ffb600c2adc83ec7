"""What labelled sources say of a target without labels."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from bvalign.analysis.given import Kept
from bvalign.analysis.intervals import Estimate
from bvalign.decisions.without_labels import words
from bvalign.decisions.without_labels.by_group import GroupRisk, risk_by_group
from bvalign.decisions.without_labels.choice import Check, chosen, errors_of
from bvalign.decisions.without_labels.methods import (
    DEFAULT,
    WITH_SOURCE,
    Labelled,
    Numbers,
    estimates,
    labelled,
)
from bvalign.decisions.without_labels.shift import Shift, shift_between
from bvalign.decisions.without_labels.spread import (
    hull,
    on_scale,
    shift_scale,
    widened,
    with_chance,
)
from bvalign.decisions.without_labels.values import QUANTITIES, Sample, sample_of, values_of
from bvalign.predictions import Groups

TOO_FAR = 0.4
"""Distance above which a warning says so: two fifths of the samples have no counterpart."""

TWO_READINGS = math.log(1.5)
"""Log odds between the errors with class shares held and free, above which a warning says so."""

ALL_ALIKE = "every answer in the source is {}, so nothing can be learnt of errors from it"

NONE: Mapping[str, Groups] = MappingProxyType({})
Rows = Mapping[str, Mapping[str, Estimate]]
"""Method -> quantity -> estimate."""


class Source(NamedTuple):
    """Labelled predictions of the same members."""

    name: str  # in sentences
    kept: Kept
    members: list[int] | None = None  # positions of the target's members in it; None for all
    notes: tuple[str, ...] = ()  # what the reader should know


class Found(NamedTuple):
    """What the sources say of the target."""

    rows: Rows
    recommended: dict[str, tuple[Estimate, str]]  # by quantity: the estimate, and its method
    reason: str | None  # why there is none
    shift: Shift
    warning: str | None
    checks: tuple[Check, ...]
    groups: tuple[GroupRisk, ...] = ()


def learn(target: Kept, sources: Sequence[Source], groups: Mapping[str, Groups] = NONE) -> Found:
    """Fits all methods on the first source, and tries them on the others.

    Args:
        target: its labels are not read.
        sources: all of the same members of the target.
        groups: of the samples of the target, by column.
    """
    number = max(kept.logits.shape[2] for kept in (target, *(s.kept for s in sources)))
    sample = sample_of(target, sources[0].members, number)
    first, *further = (sample_of(source.kept, None, number) for source in sources)
    source = labelled(first)
    shift = shift_between(first, sample, (source.values, values_of(sample)))
    rows = with_chance(first, sample, lambda ours, theirs, _: estimates(ours, theirs, shift.held))
    error = source.mean["error_rate"]
    if error in (0, 1):
        reason = ALL_ALIKE.format("wrong" if error else "right")
        undefined = dict.fromkeys(QUANTITIES, Estimate(None, reason=reason))
        rows |= {method: undefined for method in WITH_SOURCE if method != "source"}
        return Found(rows, {}, reason, shift, None, ())
    pairs = zip(sources[1:], further, strict=True)
    checks = tuple(check(given.name, source, (first, other)) for given, other in pairs)
    scale = _scale(shift, DEFAULT, "error_rate", checks)
    of_groups = risk_by_group(first, sample, shift.held, scale, groups)
    return Found(rows, *recommend(rows, shift, checks), checks, of_groups)


def check(name: str, source: Labelled, samples: tuple[Sample, Sample]) -> Check:
    """Tries all methods on a further labelled set.

    Args:
        name: of the set.
        source: the first one.
        samples: of the source and of the set.
    """
    further = labelled(samples[1])
    shift = shift_between(*samples, (source.values, further.values))
    tried = estimates(source, further.values, shift.held)
    warned = any(differences(tried, shift))
    return Check(name, further.mean, tried, shift.beyond_chance, warned)


def differences(
    estimates: Mapping[str, Numbers], shift: Shift
) -> tuple[float | None, float | None]:
    """What makes source and target differ too much to say; None for what does not.

    Args:
        estimates: method -> quantity -> number.
        shift: between source and target.

    Returns:
        How many times the odds of an error with class shares held are those without; the distance.
    """
    held, free = (estimates[m]["error_rate"] for m in (DEFAULT, _free(estimates)))
    apart = on_scale(held, "error_rate") - on_scale(free, "error_rate")
    far = shift.beyond_chance > TOO_FAR and not shift.like_label_shift
    odds = math.exp(apart) if abs(apart) > TWO_READINGS else None
    return odds, shift.beyond_chance if far else None


def recommend(
    rows: Rows, shift: Shift, checks: Sequence[Check]
) -> tuple[dict[str, tuple[Estimate, str]], str | None, Shift, str | None]:
    """The estimate of each quantity with its method, its interval widened by the shift.

    Args:
        rows: with what chance allows.
        shift: between source and target.
        checks: of further labelled sets.

    Returns:
        The fields of `Found` between rows and checks.
    """
    values = {m: {n: _number(e) for n, e in row.items()} for m, row in rows.items()}
    odds, distance = differences(values, shift)
    if odds is None and distance is None:
        checks = [check for check in checks if not check.warned]
    recommended = {}
    for name in QUANTITIES:
        defined = [m for m in WITH_SOURCE if name in rows[m] and rows[m][name].value is not None]
        method = chosen(checks, name, defined)
        scale = _scale(shift, method, name, checks)
        number = widened(rows[method][name], name, scale)
        if odds is not None:
            both = [widened(rows[m][name], name, scale) for m in (DEFAULT, _free(values))]
            number = hull(number, [e for e in both if e.value is not None])
        recommended[name] = number, method
    warned = odds is not None or distance is not None
    return recommended, None, shift, words.differs(odds, distance) if warned else None


def _scale(shift: Shift, method: str, name: str, checks: Sequence[Check]) -> tuple[float, int]:
    """Of what the shift adds to the interval of a quantity."""
    errors = zip(errors_of(checks, method, name), checks, strict=True)
    known = [(r, c.distance) for r, c in errors if math.isfinite(r)]
    return shift_scale(shift.beyond_chance, [r for r, _ in known], [d for _, d in known])


def _free(estimates: Mapping[str, Numbers]) -> str:
    """The method without class shares held: disagreement, or confidence where there is none."""
    return "scaled" if math.isfinite(estimates["scaled"]["error_rate"]) else "temperature"


def _number(estimate: Estimate) -> float:
    return math.nan if estimate.value is None else estimate.value
