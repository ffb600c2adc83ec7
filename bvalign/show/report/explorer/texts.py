"""Texts of samples, within a limit of bytes."""

import json
from bisect import bisect_right
from typing import NamedTuple

import numpy as np


class Texts(NamedTuple):
    """Texts as they stand in a page."""

    texts: list[str]
    shortened: int  # how many of them


def texts_within(texts: list[str], limit: int) -> Texts:
    """Keeps as much of each text as fits: the longest are shortened, all to the same length.

    Args:
        texts: of the samples of a page.
        limit: bytes of `as_script` of the result.

    >>> texts_within(["short", "long enough"], 60)
    Texts(texts=['short', 'long enough'], shortened=0)
    >>> texts_within(["short", "long enough " * 9], 60)
    Texts(texts=['short', 'long enough long enough … (85 more characters)'], shortened=1)
    """
    lengths = np.array([len(text) for text in texts])

    def size(most: int) -> int:
        return len(as_script([shortened(text, most) for text in texts]).encode())

    longest = most = int(lengths.max(initial=0))
    while np.minimum(lengths, most).sum() > limit:  # a character is a byte or more
        most //= 2
    most = min(2 * most, longest)
    if size(most) > limit:
        most = max(bisect_right(range(most), limit, key=size) - 1, 0)
    return Texts([shortened(text, most) for text in texts], int((lengths > most).sum()))


def shortened(text: str, most: int) -> str:
    """Cuts a text that is too long for a page, and says so.

    >>> shortened("a" * 102, 100)[95:]
    'aaaaa … (2 more characters)'
    """
    more = len(text) - most
    return text if more <= 0 else f"{text[:most]} … ({more:,} more characters)"


def as_script(value: object) -> str:
    """Encodes JSON for the inside of a `<script>`: no text in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
