"""Names that are markup, commands of a terminal, formulas or paths, wherever names may stand."""

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bad_inputs.formats import analyze, arrays, rows, save_npz
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


def _in_table(folder: Path, name: str) -> Made:
    """A row with the name in all columns."""
    table = [
        row
        | {"member": f"{name}{row['member']}", "sample": f"{name}{row['sample']}", name: 1}
        | {"text": f"{name}{row['sample']}", "group": f"{name}{row['sample'] % 2}"}
        for row in rows()
    ]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table))
    return analyze(folder / "p.jsonl")


def _in_arrays(folder: Path, name: str) -> Made:
    """An array of that name, in a file that is called so, too."""
    path = folder / f"{_file_name(name)}.npz"
    names = np.array([f"{name}{k}" for k in range(3)])
    save_npz(path, arrays() | {"class_names": names, _file_name(name): np.zeros(2)})
    return analyze(path)


def _missing(folder: Path, name: str) -> Made:
    return analyze(folder / f"{_file_name(name)}.npz")


def _file_name(name: str) -> str:
    return name.replace("/", "_")[:200]


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
        check = partial(_samples_kept, name=name)
        yield Kind("names in a table", fault, partial(_in_table, name=name), "right", check=check)
        yield Kind("names of arrays", fault, partial(_in_arrays, name=name), "right")
        missing = partial(_missing, name=name)
        yield Kind("names of missing files", fault, missing, "refused", (".npz",))
