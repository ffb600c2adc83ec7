"""Rules that a report saves beside itself, and what they say of new predictions.

A rule is a JSON object. `kind` names the function in `KINDS` that applies it; `data.class_names`,
`num_classes` and `members` say what it was made for. New predictions must have the same classes.
Other members are allowed, with a warning: what the rule promises was measured for those it names.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bvalign.analysis.decompositions import Column
from bvalign.decisions.abstain import apply_abstention
from bvalign.decisions.calibrate import apply_calibration
from bvalign.predictions import Predictions
from bvalign.predictions.damage import check_file

NAMED = 5
"""Most members and classes that a message names."""


class Applied(NamedTuple):
    """What a rule says of new predictions."""

    columns: dict[str, Column]  # of each sample, beside its index
    said: tuple[str, ...]  # lines for the reader, the warnings first


KINDS: dict[str, Callable[[dict, Predictions], tuple[dict[str, Column], tuple[str, ...]]]] = {
    "abstain": apply_abstention,
    "calibrate": apply_calibration,
}
"""Kind of a rule -> function of the rule and predictions that gives the fields of `Applied`."""


def read_rule(path: Path) -> dict[str, object]:
    """Reads a rule.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON, or no rule that this version knows.
    """
    check_file(path)
    try:
        rule = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON; a rule is a file such as abstain.json") from error
    kind = rule.get("kind") if isinstance(rule, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(
            f"{path} is no rule: its kind is {kind!r}, which must be one of {', '.join(KINDS)}; "
            "`bvalign analyze` writes rules beside its report"
        )
    return rule


def apply_rule(rule: dict[str, object], predictions: Predictions) -> Applied:
    """Applies a rule to predictions of the same kind; their labels are optional.

    Args:
        rule: as `read_rule` gives it.
        predictions: of the members that the rule names.

    Raises:
        ValueError: the classes are not those of the rule.
    """
    _check_classes(rule, predictions)
    columns, said = KINDS[rule["kind"]](rule, predictions)
    return Applied(columns, (*_other_members(rule, predictions), *said))


def _check_classes(rule: dict[str, object], predictions: Predictions) -> None:
    data = rule.get("data")
    names = data.get("class_names") if isinstance(data, dict) else None
    if predictions.num_classes != rule.get("num_classes"):
        raise ValueError(
            f"the rule is for {rule.get('num_classes')} classes, the predictions have "
            f"{predictions.num_classes}; it says nothing about them, `bvalign analyze` makes one"
        )
    here = predictions.class_names
    if isinstance(names, list) and names and here and tuple(names) != here:
        first = next(
            k for k, pair in enumerate(zip(names, here, strict=True)) if len(set(pair)) > 1
        )
        raise ValueError(
            f"class {first} is {here[first]!r} in the predictions and {names[first]!r} in the rule;"
            " the classes must be the same, in the same order"
        )


def _other_members(rule: dict[str, object], predictions: Predictions) -> tuple[str, ...]:
    """A warning if the members are not those of the rule."""
    made_for, here = rule.get("members"), list(predictions.members)
    if made_for == here or not made_for or not isinstance(made_for, list):
        return ()
    missing = [member for member in made_for if member not in here]
    others = [member for member in here if member not in made_for]
    if missing and not others:
        what = (
            f"{len(missing)} of the {len(made_for)} members of the rule are missing "
            f"({_named(missing)}): the mean of fewer is less certain of fewer samples"
        )
    elif others:
        what = f"{len(others)} of the {len(here)} members are not in the rule ({_named(others)})"
    else:
        return ()  # in another order
    return (f"warning: {what}; what the rule promises holds for its own members alone",)


def _named(members: list[object]) -> str:
    shown = ", ".join(map(str, members[:NAMED]))
    return shown if len(members) <= NAMED else f"{shown} and {len(members) - NAMED} more"
