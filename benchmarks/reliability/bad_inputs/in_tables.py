"""Faults of tables: rows and columns in each format, and what only text can be."""

import gzip
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bad_inputs.formats import TABLES, analyze, rows, text
from bad_inputs.kind import Kind, Made

Table = list[dict[str, object]]
Change = Callable[[Table], Table]


def column(name: str, change: Callable[[object, int], object]) -> Change:
    """Changes a column by value and number of the row."""
    return lambda table: [
        row | {name: change(row.get(name), number)} for number, row in enumerate(table)
    ]


def once(value: object, place: int = 7) -> Callable[[object, int], object]:
    """Puts a value into one row."""
    return lambda old, number: value if number == place else old


def without(*names: str) -> Change:
    return lambda table: [{k: v for k, v in row.items() if k not in names} for row in table]


def renamed(old: str, new: str) -> Change:
    return lambda table: [{new if k == old else k: v for k, v in row.items()} for row in table]


FAULTS: dict[str, tuple[Change, str]] = {
    "a row twice": (lambda t: [*t, t[3]], "refused"),
    "a row missing": (lambda t: t[1:], "refused"),
    "a member with fewer samples": (lambda t: t[:-5], "refused"),
    "rows in another order": (lambda t: t[::-1], "right"),
    "no samples": (without("sample"), "refused"),
    "no members": (without("member"), "refused"),
    "no scores": (without("logit0", "logit1", "logit2"), "refused"),
    "one score": (without("logit1", "logit2"), "refused"),
    "a hole in the classes": (without("logit1"), "refused"),
    "two columns of labels": (column("target", lambda v, n: 0), "either"),
    "two columns of members": (column("model", lambda v, n: n), "either"),
    "labels that differ in a sample": (column("label", once(2, 0)), "refused"),
    "a label of -5": (column("label", lambda v, n: -5), "refused"),
    "a label of 3": (column("label", lambda v, n: 3), "refused"),
    "fractions as labels": (column("label", lambda v, n: 0.5), "refused"),
    "names as labels": (column("label", lambda v, n: f"class {v}"), "either"),
    "four names as labels": (column("label", lambda v, n: f"class {n % 4}"), "refused"),
    "fractions as samples": (column("sample", lambda v, n: v + 0.5), "refused"),
    "samples above 2**63": (column("sample", lambda v, n: 1e30 + v), "refused"),
    "an empty sample": (column("sample", once(None)), "refused"),
    "an empty member": (column("member", once(None)), "refused"),
    "an empty label": (column("label", once(None)), "right"),
    "an empty score": (column("logit1", once(None)), "refused"),
    "nan as a score": (column("logit1", once(float("nan"))), "refused"),
    "inf as a score": (column("logit1", once(float("inf"))), "refused"),
    "words as scores": (column("logit1", lambda v, n: f"w{n}"), "refused"),
    "a cluster for a row": (column("cluster", lambda v, n: n), "refused"),
    "one cluster": (column("cluster", lambda v, n: 1), "refused"),
    "an empty cluster": (column("cluster", lambda v, n: None if n == 7 else v), "refused"),
    "a group for a row": (column("group", lambda v, n: f"g{n}"), "refused"),
    "members without end": (column("member", lambda v, n: f"m{n}"), "refused"),
    "members with spaces": (renamed("member", " member "), "either"),
    "capitals": (renamed("member", "MEMBER"), "right"),
}
"""Fault -> change of rows, and what must come of it."""

WIDE = ",".join(["member,sample,label", *(f"logit{k}" for k in range(200_000))]) + "\n"


def _csv() -> dict[str, tuple[bytes, str]]:
    """Contents of a .csv."""
    plain = text(rows())
    lines = plain.splitlines(keepends=True)
    return {
        "a header alone": (lines[0].encode(), "refused"),
        "a mark of byte order": (b"\xef\xbb\xbf" + plain.encode(), "right"),
        "ends of lines of Windows": (text(rows(), end="\r\n").encode(), "right"),
        "ends of lines of old Macs": (text(rows(), end="\r").encode(), "either"),
        "mixed ends of lines": ("\r\n".join(plain.split("\n", 5)).encode(), "right"),
        "UTF-16": (plain.encode("utf-16"), "refused"),
        "UTF-16 without a mark": (plain.encode("utf-16-le"), "refused"),
        "UTF-32": (plain.encode("utf-32"), "refused"),
        "UTF-7": (plain.encode("utf-7"), "either"),
        "Latin-1": (plain.replace("seed0", "sé").encode("latin-1"), "refused"),
        "EBCDIC": (plain.encode("cp037"), "refused"),
        "NUL in a cell": (plain.replace("seed0", "se\0d").encode(), "refused"),
        "a row too short": ((plain + "seed9,1\n").encode(), "refused"),
        "a row too long": ((plain + "seed9,1,1,1,1,1,1,1\n").encode(), "refused"),
        "an open quote": (plain.replace("seed1,", '"seed1,', 1).encode(), "refused"),
        "a quote in a cell": (plain.replace("seed1,", 'se"ed1,').encode(), "either"),
        "quotes around all": (
            "\n".join(
                ",".join(f'"{cell}"' for cell in line.strip().split(",")) for line in lines
            ).encode(),
            "right",
        ),
        "blank lines": (plain.replace("\n", "\n\n").encode(), "right"),
        "a comment first": (("# from my script\n" + plain).encode(), "refused"),
        "a title first": (("Predictions\n" + plain).encode(), "refused"),
        "no header": ("".join(lines[1:]).encode(), "refused"),
        "a header twice": ((plain + lines[0]).encode(), "refused"),
        "two columns of one name": (plain.replace("logit1", "logit0", 1).encode(), "refused"),
        "decimal commas": (text(rows(), ";").replace(".", ",").encode(), "right"),
        "decimal commas between commas": (plain.replace(".", ",").encode(), "refused"),
        "spaces between": (plain.replace(",", " ").encode(), "refused"),
        "pipes between": (plain.replace(",", "|").encode(), "refused"),
        "commas behind": (plain.replace("\n", ",\n").encode(), "right"),
        "a number of 10,000 digits": (
            lines[0].encode() + b"m,0,0," + b"9" * 10_000 + b",1,2\n",
            "refused",
        ),
        "hexadecimal numbers": (lines[0].encode() + b"m,0,0,0x1p3,1,2\n", "refused"),
        "underscores in numbers": (lines[0].encode() + b"m,0,0,1_000,1,2\n", "refused"),
        "a cell of 20 MB": (lines[0].encode() + b"m" * 20_000_000 + b",0,0,0,1,2\n", "either"),
        "a line of 20 MB without end": (b"a" * 20_000_000, "refused"),
        "commas without end": (b"," * 5_000_000, "refused"),
        "quotes without end": (b'"' * 5_000_001, "refused"),
        "200,000 columns": (WIDE.encode(), "refused"),
        "1,000,000 names": (",".join(f"c{n}" for n in range(1_000_000)).encode(), "refused"),
        "a sheet of Excel": (b"PK\x03\x04" + bytes(2000), "refused"),
        "gzip without its ending": (gzip.compress(plain.encode()), "refused"),
    }


def _jsonl() -> dict[str, tuple[bytes, str]]:
    """Contents of a .jsonl."""
    lines = [json.dumps(row) for row in rows()]
    plain = "\n".join(lines)
    row = '{"member": 0, "sample": 0, "label": 0, '
    return {
        "a list of rows": (json.dumps(rows()).encode(), "refused"),
        "commas behind": (",\n".join(lines).encode(), "refused"),
        "blank lines": (plain.replace("\n", "\n\n").encode(), "right"),
        "a mark of byte order": (b"\xef\xbb\xbf" + plain.encode(), "right"),
        "ends of lines of Windows": (plain.replace("\n", "\r\n").encode(), "right"),
        "NaN": ((row + '"logits": [NaN, 1.0]}').encode(), "refused"),
        "Infinity": ((row + '"logits": [Infinity, 1.0]}').encode(), "refused"),
        "1e999": ((row + '"logits": [1e999, 1.0]}').encode(), "refused"),
        "null in a list": ((row + '"logits": [null, 1.0]}').encode(), "refused"),
        "strings in a list": ((row + '"logits": ["a", "b"]}').encode(), "refused"),
        "an empty list": ((row + '"logits": []}').encode(), "refused"),
        "lists in a list": ((row + '"logits": [[1.0], [2.0]]}').encode(), "refused"),
        "no list": ((row + '"logits": 1.0}').encode(), "either"),
        "an object": ((row + '"logits": {"a": 1.0}}').encode(), "refused"),
        "a key twice": ((row + '"label": 1, "logits": [0.5, 1.0]}').encode(), "either"),
        "lists of other lengths": (
            (row + '"logits": [0.5]}\n' + row.replace("0", "1") + '"logits": [1.0, 2]}').encode(),
            "refused",
        ),
        "lists 10,000 deep": (b"[" * 10_000 + b"]" * 10_000, "refused"),
        "objects 10,000 deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "refused"),
        "a label that is an object": ((row[:-2] + ', "label": {}}').encode(), "refused"),
        "other keys later": ((plain + '\n{"x": 1}').encode(), "refused"),
        "numbers alone": (b"1\n2\n3\n", "refused"),
        "strings alone": (b'"a"\n"b"\n', "refused"),
        "single quotes": (plain.replace('"', "'").encode(), "refused"),
        "a line of 20 MB": (b'{"a": "' + b"a" * 20_000_000, "refused"),
        "a sample of 400 digits": (
            (
                row.replace('"sample": 0', '"sample": 1' + "0" * 400) + '"logits": [0.5, 1]}'
            ).encode(),
            "refused",
        ),
        "lone surrogates": (plain.replace("seed0", "\\udcff").encode(), "right"),
    }


def kinds() -> Iterator[Kind]:
    """Formats of rows with faults of rows, then those of text."""

    def make(folder: Path, name: str, write: Callable, change: Change) -> Made:
        write(folder / name, change(rows()))
        return analyze(folder / name)

    for target, (name, write) in TABLES.items():
        for fault, (change, expected) in FAULTS.items():
            made = partial(make, name=name, write=write, change=change)
            free = fault in ("an empty label", "names as labels") or expected == "either"
            yield Kind(target, fault, made, expected, check=_anything if free else None)
    for name, contents in (("p.csv", _csv()), ("p.jsonl", _jsonl())):
        for fault, (content, expected) in contents.items():

            def put(folder: Path, content: bytes = content, name: str = name) -> Made:
                (folder / name).write_bytes(content)
                return analyze(folder / name)

            check = _anything if expected == "either" else None
            yield Kind(name[2:], fault, put, expected, (name,), check)


def _anything(folder: Path) -> None:
    """No numbers are known."""
