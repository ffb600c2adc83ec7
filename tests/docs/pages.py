"""Code on the pages of the documentation: what is shown there is run.

A block of Python, or of `bvalign` commands in bash, is run as it stands. One line before its fence
may say otherwise: `<!-- not run: REASON -->`, whose commands are parsed all the same, or
`<!-- walkthrough: NAME -->`, which the walkthrough of that name runs.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests import ROOT

FENCE = re.compile(
    r"(?:^<!-- (not run|walkthrough): ([^\n]*?) -->\n)?^```(\w+)\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block of a page."""

    mark: str  # "not run", "walkthrough" or ""
    said: str  # the reason or the name behind it
    language: str
    code: str


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page, by its path in the repository."""
    return [Block(*found.groups("")) for found in FENCE.finditer((ROOT / page).read_text())]


def walkthrough(name: str) -> list[Block]:
    """The blocks of a walkthrough, in the order of the pages."""
    pages = ["README.md", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/**/*.md")))]
    found = [block for page in pages for block in blocks(page)]
    return [block for block in found if (block.mark, block.said) == ("walkthrough", name)]


def commands(code: str) -> Iterator[list[str]]:
    """The words of each command; files of the repository are named by their whole path."""
    for line in re.split(r"\n| & ", code.replace("\\\n", " ")):
        words = shlex.split(line, comments=True)
        if words:
            yield [str(ROOT / w) if w.startswith("configs/") else w for w in words if w != "&"]


def run(block: Block, names: dict[str, object], bvalign: Callable[..., None]) -> None:
    """Runs a block of Python with these names, or one of `bvalign` commands."""
    if block.language == "python":
        exec(compile(block.code, "page", "exec"), names)
    for program, *words in commands(block.code) if block.language == "bash" else ():
        assert program == "bvalign", f"{program} is not run by the tests; say why not"
        bvalign(*words)
