"""Two kinds of errors of an ensemble: that nearly all members share, and that some avoid.

For a sample whose mean probability is largest at a wrong class:

    systematic   at least NEARLY_ALL of the members vote for one and the same wrong class
    chance       it is not systematic, and some member votes for the label

Of the rest no member is right, but they do not agree on a class.
"""

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

NEARLY_ALL = 0.9
"""Least share of the members that vote for the same wrong class in a systematic error."""

ROUNDING = 1e-9


class ErrorKinds(NamedTuple):
    """Which errors are of which kind."""

    systematic: Bool[Tensor, "*sets samples"]
    chance: Bool[Tensor, "*sets samples"]


def error_kinds(
    correct: Bool[Tensor, "*sets samples"],
    main_wrong: Bool[Tensor, "*sets samples"],
    for_main: Float[Tensor, "*sets samples"],
    error_rate: Float[Tensor, "*sets samples"],
) -> ErrorKinds:
    """Tells the kinds of errors apart.

    Args:
        correct: whether the mean probability is largest at the label.
        main_wrong: whether the class with the most votes is another one.
        for_main: share of the members that vote for that class.
        error_rate: share of the members that do not vote for the label.
    """
    systematic = ~correct & main_wrong & (for_main >= NEARLY_ALL - ROUNDING)
    return ErrorKinds(systematic, ~correct & ~systematic & (error_rate < 1))
