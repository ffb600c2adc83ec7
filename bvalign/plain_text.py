"""Text as terminals and files can show it.

What is no character is written as its escape: lone surrogates, as Python makes of bytes that are no
UTF-8, which no file can hold; control characters, which steer terminals; and those that turn the
direction of text, so that it reads as another one.
"""

import re

UNSHOWN = ((0x00, 0x08), (0x0B, 0x1F), (0x7F, 0x9F), (0x202A, 0x202E), (0x2066, 0x2069))
UNSHOWN += ((0xD800, 0xDFFF),)
"""First and last code of each kind. Tabs and ends of lines are shown, also those of Windows."""

LONGEST = 1000
"""Characters of a word that is shown in full."""

_KINDS = "".join(f"{chr(low)}-{chr(high)}" for low, high in UNSHOWN)
_UNSHOWN = re.compile(rf"(?!\r\n)[{_KINDS}]")


def escaped(text: str) -> str:
    r"""Writes what cannot be shown as escapes.

    >>> escaped("caf\udce9 \x1b[31m")
    'caf\\udce9 \\x1b[31m'
    """
    return _UNSHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shortened(text: str) -> str:
    """Leaves out the middle of words that are longer than a path may well be.

    >>> shortened("no file " + "a" * 2000) == "no file " + "a" * 100 + "..." + "a" * 100
    True
    """
    return re.sub(rf"\S{{{LONGEST},}}", lambda found: f"{found[0][:100]}...{found[0][-100:]}", text)
