"""Docstrings as Sphinx reads them: the house writes Markdown with preformatted formulas."""

import re

SECTIONS = ("Args:", "Raises:", "Returns:", "Yields:", "Attributes:")
"""What napoleon turns into fields; other indented lines are formulas or tables of symbols."""
CODE = re.compile(r"(`[^`]+`)")
ITEM = re.compile(r"\s*(?:- |\d+\. )")
ALIGNED = re.compile(r"\|| +\S|.*\S {2,}\S")
"""Beginnings of lines that keep their shape: rows of tables, indented lines, columns."""


def as_rst(lines: list[str]) -> list[str]:
    """The same text: code marked as such, preformatted lines as blocks, nothing else as markup."""
    out: list[str] = []
    section = block = item = False
    for line in lines:
        if line and not line.startswith(" "):
            section, item = line in SECTIONS, bool(ITEM.match(line))
        keeps = bool(not section and not item and ALIGNED.match(line))
        if line and keeps != block:
            out += ["", "::", ""] if keeps else [""]
            block = keeps
        out.append(f"    {line}" if block else line if line.startswith(">>>") else _escaped(line))
    return out


def _escaped(line: str) -> str:
    parts = CODE.split(line)
    return "".join(
        rf"\ `{part}`\ " if CODE.fullmatch(part) else re.sub(r"([*|\\]|_\b)", r"\\\1", part)
        for part in parts
    )
