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
    if needed is None:
        others = " for these members; other members could change it" if alone else ""
        yield f"Told apart{others}."
        return
    yield "Not told apart."
    if not found.value:
        yield "There is no difference, so no number of samples or members would do."
        return
    projection = "Projected, if the difference stays as it is:"
    samples = needed["samples"] and _samples(needed["samples"], sizes)
    members = needed["members"] and _members(needed["members"], sizes)
    both = needed["both"]
    if alone:
        yield (
            f"{projection} {samples or 'no number of samples'} would do for these members; the "
            "members' part is unknown."
        )
    elif samples and members:
        yield f"{projection} {samples} would do, or {members}."
    elif samples:
        yield (
            f"{projection} {samples} would do; no number of members alone, as the samples' part is "
            "too large."
        )
    elif members:
        yield (
            f"{projection} {members} would do; no number of samples alone, as the members' part is "
            "too large."
        )
    elif both:
        together = _samples(both["samples"], sizes), _members(both["members"], sizes)
        yield (
            f"{projection} neither more samples nor more members alone would do; together, "
            f"{together[0]} and {together[1]}."
        )
    else:
        yield (
            "No number of samples or members would do, as noise that no member has shown may "
            "explain the difference."
        )


def _warning(flags: Sequence[str]) -> Iterator[str]:
    if flags:
        yield f"Do not quote it ({'; '.join(flags)})."


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
