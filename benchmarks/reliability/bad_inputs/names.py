"""Names that are markup, commands of a terminal, formulas or paths, wherever names may stand."""

import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bad_inputs.formats import analyze, arrays, rows, save_npz, text
from bad_inputs.harness import check_numbers
from bad_inputs.kind import Kind, Made

NAMES = {
    "an element": "<img id=pwn src=x onerror=alert(1)>",
    "the end of a script": "</script><script id=pwn>alert(1)</script>",
    "the end of an attribute": "\"'><b id=pwn onclick=alert(1)>",
    "the end of a comment": "--><b id=pwn><!--",
    "the end of a style": "</style></title></textarea></svg><b id=pwn>",
    "a template": "{{ 7 * 7 }}{% raw %}${alert(1)}",
    "entities": "&lt;b id=pwn&gt;&#60;b id=pwn&#62;",
    "colours of a terminal": "\x1b[31mred\x1b]0;title\x07\x1b[2J",
    "codes of eight bits": "\x9b31mred\x9d0;title\x9c",
    "the other direction": "\u202egnp.exe\u202c\u2066x\u2069",
    "returns": "right\rwrong\x08\x08\x7f",
    "a formula": '=HYPERLINK("http://example.org","click")',
    "another formula": "+1+cmd|' /C calc'!A0",
    "a formula with a minus": "-2+3",
    "a formula with an at": "@SUM(1+1)",
    "a path": "../../../canary",
    "a path from the root": "/tmp/canary",
    "a format": "%s%n%d{0}{name!r}",
    "markup of rich": "[red]a[/red][link=file:///etc/passwd]b",
    "markup of TeX": "\\input{/etc/passwd}$a_b^c$ #&%~",
    "ten thousand letters": "a" * 10_000,
    "lines": 'a\nb,"c"\r\nd',
    "nothing to see": "\u200b\u200c\ufeff",
}
"""Kind of name -> a name."""


def _members(table: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    return [row | {"member": f"{name}{row['member']}"} for row in table]


def _samples(table: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    return [row | {"sample": f"{name}{row['sample']}"} for row in table]


def _texts(table: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    return [row | {"text": f"{name}{row['sample']}"} for row in table]


def _groups(table: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    return [row | {"group": f"{name}{row['sample'] % 2}"} for row in table]


def _columns(table: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    return [row | {name: 1} for row in table]


PLACES: dict[str, Callable[[list[dict[str, object]], str], list[dict[str, object]]]] = {
    "members": _members,
    "samples": _samples,
    "texts": _texts,
    "groups": _groups,
    "columns": _columns,
}


def _in_table(folder: Path, place: str, name: str) -> Made:
    path = folder / "p.jsonl"
    table = PLACES[place](rows(), name)
    path.write_text("".join(json.dumps(row) + "\n" for row in table))
    return analyze(path)


def _classes(folder: Path, name: str) -> Made:
    names = np.array([f"{name}{k}" for k in range(3)])
    save_npz(folder / "p.npz", arrays() | {"class_names": names})
    return analyze(folder / "p.npz")


def _array(folder: Path, name: str) -> Made:
    save_npz(folder / "p.npz", arrays() | {name.replace("/", "_"): np.zeros(2)})
    return analyze(folder / "p.npz")


def _file(folder: Path, name: str) -> Made:
    path = folder / f"{name.replace('/', '_')[:200]}.csv"
    path.write_text(text(rows()))
    return analyze(path)


def _out(folder: Path, name: str) -> Made:
    """A folder for the report, in which the file of predictions is missing."""
    return analyze(folder / f"{name.replace('/', '_')[:200]}.npz")


def _samples_kept(folder: Path, name: str) -> str | None:
    """Names of samples are text, and come back from samples.csv as they were."""
    with (folder / "out" / "samples.csv").open(newline="", encoding="utf-8") as file:
        found = {row["sample"] for row in csv.DictReader(file)}
    plain = name.isprintable() or name.startswith("a\n")
    if plain and found != {f"{name}{number}".strip() for number in range(12)}:
        return f"samples.csv has {min(found)!r}"
    return check_numbers(folder)


def kinds() -> Iterator[Kind]:
    """Places of names with kinds of names; a report must be right and its page unmoved."""
    for fault, name in NAMES.items():
        for place in PLACES:
            made = partial(_in_table, place=place, name=name)
            check = partial(_samples_kept, name=name) if place == "samples" else None
            yield Kind(f"names of {place}", fault, made, "right", check=check)
        yield Kind("names of classes", fault, partial(_classes, name=name), "right")
        yield Kind("names of arrays", fault, partial(_array, name=name), "right")
        if "\0" not in name:
            yield Kind("names of files", fault, partial(_file, name=name), "right")
            missing = partial(_out, name=name)
            yield Kind("names of missing files", fault, missing, "refused", (".npz",))
