"""Which method to recommend: chosen on other labelled sets, never on the target.

Where source and target do not differ too much to say, sets that do are left out: what the methods
would not speak of says nothing of where they do. The default stays unless another method was
better on at least three further labelled sets, by more than the standard error of the difference
(the one-standard-error rule of Breiman et al. 1984), in the mean absolute error on the scale of
`spread.on_scale`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bvalign.decisions.without_labels.methods import DEFAULT, Numbers
from bvalign.decisions.without_labels.spread import on_scale

LEAST_SETS = 3


class Check(NamedTuple):
    """All methods on a labelled set as if it had no labels."""

    name: str
    truth: Numbers
    estimates: Mapping[str, Numbers]  # by method
    distance: float  # between the source and the set, beyond chance
    warned: bool  # whether they differ too much to say


def errors_of(checks: Sequence[Check], method: str, name: str) -> list[float]:
    """Truth less estimate, on the scale of `on_scale`, of every set where both are defined."""
    found = [(c.truth.get(name, math.nan), c.estimates[method].get(name, math.nan)) for c in checks]
    return [
        on_scale(truth, name) - on_scale(value, name)
        if math.isfinite(truth) and math.isfinite(value)
        else math.nan
        for truth, value in found
    ]


def chosen(checks: Sequence[Check], name: str, methods: Sequence[str]) -> str:
    """The method to recommend.

    Args:
        checks: of further labelled sets.
        name: of the quantity.
        methods: those that are defined on the target.
    """
    default = DEFAULT if DEFAULT in methods else methods[0]
    if len(checks) < LEAST_SETS:
        return default
    errors = {m: np.abs(errors_of(checks, m, name)) for m in methods}
    errors = {m: found for m, found in errors.items() if np.isfinite(found).all()}
    if default not in errors:
        return default
    best = min(errors, key=lambda m: errors[m].mean())
    gain = errors[default] - errors[best]
    return best if gain.mean() > gain.std(ddof=1) / math.sqrt(len(gain)) else default
