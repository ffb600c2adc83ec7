"""What a check is given, and what it answers."""

from pathlib import Path
from typing import NamedTuple


class Setting(NamedTuple):
    """Where a check runs.

    Args:
        device: `cuda`, or `cpu` for the tests.
        quick: the smallest sizes that still run every line.
        folder: for run directories; removed in the end.
    """

    device: str
    quick: bool
    folder: Path


class Found(NamedTuple):
    """A check that passed: a few words, and the numbers behind them."""

    says: str
    numbers: dict[str, object] = {}


class CheckError(Exception):
    """What was found is wrong.

    Args:
        says: what, in a few words.
        numbers: behind them.
    """

    def __init__(self, says: str, numbers: dict[str, object] | None = None) -> None:
        super().__init__(says)
        self.numbers = numbers or {}


class NotHereError(Exception):
    """The check cannot be made here; its text is the reason."""


def require(holds: bool, says: str, numbers: dict[str, object] | None = None) -> None:
    """Fails the check with these words unless something holds."""
    if not holds:
        raise CheckError(says, numbers)
