"""How many more samples or members would tell two reports apart, in numbers and in a sentence."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bvalign.analysis.groups import NUM_GROUPS
from bvalign.analysis.intervals import Difference

DIGITS = 2
"""Of numbers in a sentence, which are rounded up."""

FAR = 1000
"""Times as many as today, beyond which a sentence gives no number."""


class Sizes(NamedTuple):
    """What two reports were made from."""

    samples: int
    members: tuple[int, int]


def more_needed(found: Difference, sizes: Sizes) -> dict[str, object] | None:
    """Projects the sizes that would tell two reports apart; None if they are told apart.

    Args:
        found: the difference.
        sizes: of today.

    Returns:
        `samples`, `members` of each and `both` together; each None if no number would do, or if
        the members' part is unknown.
    """
    if found.apart:
        return None
    samples, members, both = found.needed(NUM_GROUPS)
    return {
        "samples": samples and _times(samples, sizes.samples),
        "members": members and [_times(members, number) for number in sizes.members],
        "both": both
        and {
            "samples": _times(both, sizes.samples),
            "members": [_times(both, number) for number in sizes.members],
        },
    }


def in_a_sentence(
    found: Difference, sizes: Sizes, needed: dict[str, object] | None, flags: Sequence[str]
) -> str:
    """Says whether the two are told apart, and if not, what it would take.

    Args:
        found: the difference.
        sizes: of today.
        needed: the result of `more_needed`.
        flags: reasons not to quote the numbers that are compared, each with its run.
    """
    return " ".join([*_sentences(found, sizes, needed), *_warning(flags)])


def _sentences(found: Difference, sizes: Sizes, needed: dict[str, object] | None) -> Iterator[str]:
    alone = found.members is None
    interval = "The 95% interval over samples alone" if alone else "The 95% interval"
    if needed is None:
        yield f"{interval} excludes zero{'; other members could change that' if alone else ''}."
        return
    yield f"{interval} includes zero."
    if not found.value:
        yield "The two are equal, so no number of samples or members would resolve a difference."
        return
    samples = needed["samples"] and _samples(needed["samples"], sizes)
    members = needed["members"] and _members(needed["members"], sizes)
    if alone and samples:
        more = f"{samples} would resolve it for these members; the part of the members is unknown"
    elif alone:
        more = "no number of samples would resolve it for these members"
    elif samples and members:
        more = f"{samples} would resolve it, or {members}"
    elif samples:
        more = f"{samples} would resolve it; more members alone would not"
    elif members:
        more = f"{members} would resolve it; more samples alone would not"
    elif both := needed["both"]:
        together = f"{_samples(both['samples'], sizes)} with {_members(both['members'], sizes)}"
        more = f"{together} would resolve it; either alone would not"
    else:
        more = "no number of samples or members is sure to resolve it, as it may be noise"
    yield f"If the difference stays as it is, {more}."


def _warning(flags: Sequence[str]) -> Iterator[str]:
    if flags:
        yield f"Do not quote the difference ({'; '.join(flags)})."


def _samples(number: int, sizes: Sizes) -> str:
    if number > FAR * sizes.samples:
        return f"more than {FAR:,} times the samples"
    return f"about {_rounded(number)} samples instead of {sizes.samples:,}"


def _members(numbers: Sequence[int], sizes: Sizes) -> str:
    """Writes numbers of members, of each run or of both in turn."""
    if numbers[0] > FAR * sizes.members[0]:
        return f"more than {FAR:,} times the members"
    if sizes.members[0] == sizes.members[1]:
        return f"about {_rounded(numbers[0])} members of each instead of {sizes.members[0]:,}"
    a, b = map(_rounded, numbers)
    return f"about {a} and {b} members instead of {sizes.members[0]:,} and {sizes.members[1]:,}"


def _times(factor: float, number: int) -> int:
    """So many times the number, to the next whole one."""
    return math.ceil(factor * number * (1 - 1e-9))


def _rounded(number: int) -> str:
    """Rounds up to DIGITS digits.

    >>> _rounded(4231), _rounded(31)
    ('4,300', '31')
    """
    unit = 10 ** max(len(str(number)) - DIGITS, 0)
    return f"{-(-number // unit) * unit:,}"
