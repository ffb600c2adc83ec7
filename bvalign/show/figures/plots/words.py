"""Phrases that several captions share."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from bvalign.analysis.slopes import FLAGS
from bvalign.show.figures.scatter import DECADES_SHOWN


def counted(number: int, noun: str) -> str:
    """Writes a number with its noun.

    >>> counted(1, "member"), counted(1200, "test sample")
    ('1 member', '1,200 test samples')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(num_samples: int, num_members: int, noun: str = "test sample") -> str:
    """Writes N and M, as every caption ends.

    >>> size(1200, 8)
    'N = 1,200 test samples, M = 8 members.'
    """
    return f"N = {counted(num_samples, noun)}, M = {counted(num_members, 'member')}."


def off_the_axes(shown: Bool[np.ndarray, " samples"], where: str = "") -> str:
    """Says how many samples are off logarithmic axes; nothing if all are on them.

    Args:
        shown: whether a sample is on them.
        where: such as " of (b)".
    """
    hidden = int((~shown).sum())
    why = f"zero, negative or more than {DECADES_SHOWN} decades down"
    verb = "is" if hidden == 1 else "are"
    return f" {counted(hidden, 'sample')} {verb} off the axes{where} ({why})." if hidden else ""


def left_out(dropped: Mapping[str, int]) -> str:
    """Says how many correct samples are not in the line of these members, and why."""
    said = ", ".join(
        f"{counted(number, 'sample')} ({reason})" for reason, number in dropped.items()
    )
    return f" Left out of the line of these members: {said}." if dropped else ""


def warning(flags: Sequence[str]) -> str:
    """Says why not to quote the numbers of the population; nothing if they may be quoted."""
    reasons = "; ".join(FLAGS[flag] for flag in flags)
    return f" Do not quote the numbers of the population: {reasons}." if flags else ""


def spread(values: Float[np.ndarray, " samples"]) -> str:
    """Writes the smallest, middle and largest of some values."""
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    return f"{low:.2g} to {high:.2g}, median {middle:.2g}"
