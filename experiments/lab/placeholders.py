r"""Fills the placeholders of a text from committed JSON files: no number is typed by hand.

    {{STUDY/RUN/NUMBER}}         a number of results-small.json with its interval, flags and what
                                 the interval is over; or a key of the run: num_members, data
    {{STUDY/RUNS/NUMBER}}        the smallest and the largest of several runs, patterns separated by
                                 commas; numbers not to be quoted are counted, not shown
    {{FILE.json#KEY/KEY}}        of any JSON file of the repository; a KEY is the key of an object,
                                 the place in a list, `*` for all, or `name=value` for some rows
    {{COMMAND ARGUMENT}}         one of those in findings.py: verdict, measured, cost, table, ...

STUDY@paper reads results-paper.json. Filters follow after `|`, or `\|` in a table: `percent`,
`minutes`, `hours`, `exp` (of a logarithm), `value` (without the interval), `min`, `max`, `sum`,
`mean`, `len`, and `over #KEY/KEY`, a quotient of two numbers of one file. What a study without
results, or with results of an earlier schema, does not have is "not measured yet"; what is wrong
otherwise is an error.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import claim_tables
from verdicts import Number, extremes_text

PLACEHOLDER = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)
NOT_YET = "not measured yet"

SCALES = {"percent": (100, "%"), "minutes": (1 / 60, " min"), "hours": (1 / 3600, " h")}
"""Filter -> factor and unit."""


class NotMeasuredError(Exception):
    """Names a study that has no such result yet."""


class Results:
    """The JSON files of a repository, each read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.not_yet: set[str] = set()  # studies that lacked something
        self.file = cache(self._file)

    def study(self, name: str) -> dict[str, object]:
        """The results of STUDY or STUDY@SIZE."""
        folder, _, size = name.partition("@")
        path = f"experiments/studies/{folder}/results-{size or 'small'}.json"
        if not (self.root / path).exists():
            self.not_yet.add(name)
            raise NotMeasuredError(name)
        return self.file(path)

    def lacks(self, name: str) -> NotMeasuredError | None:
        """Notes a study whose results are of an earlier schema; None if they are of today."""
        if self.study(name)["schema"] == claim_tables.SCHEMA:
            return None
        self.not_yet.add(name)
        return NotMeasuredError(name)

    def _file(self, path: str) -> object:
        if not (self.root / path).is_file():
            raise ValueError(f"no file {path}")
        return json.loads((self.root / path).read_text())


Command = Callable[[str, Results], str]
"""From the argument of a placeholder to its text."""


def filled(text: str, results: Results, commands: Mapping[str, Command]) -> str:
    """Replaces all placeholders of a text.

    Args:
        text: with placeholders.
        results: the files that they read.
        commands: by their first word.

    Raises:
        ValueError: one of them names nothing; the message begins with it.
    """

    def fill(found: re.Match[str]) -> str:
        inner = " ".join(found[1].replace("\\|", "|").split())
        try:
            command, _, argument = inner.partition(" ")
            if command in commands:
                return commands[command](argument, results)
            return _shown(values_of(inner, results))
        except NotMeasuredError:
            return NOT_YET
        except ValueError as error:
            raise ValueError(f"{{{{{inner}}}}}: {error}") from error

    return PLACEHOLDER.sub(fill, text)


def values_of(inner: str, results: Results) -> list[Number]:
    """The numbers that a placeholder names, after its filters, with the names of their runs.

    Args:
        inner: of the placeholder, which is no command.
        results: the files that it reads.

    Raises:
        NotMeasuredError: a study has no results, or earlier ones without the number.
        ValueError: there is no such number.
    """
    what, *filters = (part.strip() for part in inner.split("|"))
    file, _, keys = what.partition("#")
    values = _of_json(results.file(file), keys) if keys else _of_runs(what, results)
    for one in filters:
        values = _filtered(one, values, lambda other: _of_json(results.file(file), other))
    return values


def _of_runs(what: str, results: Results) -> list[Number]:
    if what.count("/") < 2:
        raise ValueError("write STUDY/RUN/NUMBER, FILE.json#KEY, or a command")
    study, runs, name = what.split("/", 2)
    found = results.study(study)
    rows = {
        run: found["runs"].get(run, {}) | found["numbers"].get(run, {})
        for run in [*found["runs"], *found["numbers"]]
        if any(fnmatch(run, pattern.strip()) for pattern in runs.split(","))
    }
    values = [{"name": run} | _number(row[name]) for run, row in rows.items() if name in row]
    if values:
        return values
    if lacking := results.lacks(study):
        raise lacking
    missing = [
        f"{run} has no results ({r['missing']})" for run, r in rows.items() if "missing" in r
    ]
    if missing:
        raise ValueError("; ".join(missing).splitlines()[0])
    there = f"no {name} in {', '.join(rows)}" if rows else f"no run {runs}"
    raise ValueError(f"{there} of {study}")


def _of_json(content: object, keys: str) -> list[Number]:
    found = [content]
    for key in keys.split("/"):
        found = [inner for outer in found for inner in _step(outer, key)]
    if not found:
        raise ValueError(f"nothing at #{keys}")
    return [_number(value) for value in found]


def _step(outer: object, key: str) -> list[object]:
    name, equals, wanted = key.partition("=")
    match outer:
        case dict() if key in outer:
            return [outer[key]]
        case dict() | list() if key == "*":
            return list(outer.values() if isinstance(outer, dict) else outer)
        case list() if equals:
            return [row for row in outer if str(row.get(name)) == wanted]
        case list() if key.isdigit() and int(key) < len(outer):
            return [outer[int(key)]]
    there = ", ".join(map(str, outer)) if isinstance(outer, dict) else f"a {type(outer).__name__}"
    raise ValueError(f"no {key}; there is {there[:100]}")


def _number(value: object) -> Number:
    """A number as it is, and anything else as one without `interval`."""
    return value if isinstance(value, Mapping) and "value" in value else {"value": value}


def _filtered(
    name: str, values: list[Number], of_file: Callable[[str], list[Number]]
) -> list[Number]:
    if name == "len":
        return [{"value": len(values)}]
    found = [number["value"] for number in values]
    if not all(isinstance(value, int | float) for value in found):
        raise ValueError(f"{name} needs numbers, not {found[0]!r}")
    if name in ("sum", "mean"):
        return [{"value": sum(found) / (len(found) if name == "mean" else 1)}]
    if name in ("min", "max"):
        return [{"min": min, "max": max}[name](_quotable(values), key=lambda n: n["value"])]
    if name == "value":
        return [number | {"interval": None} for number in values]
    if name == "exp":
        return [_each(number, lambda log: math.exp(min(log, 700))) for number in values]
    if name in SCALES:
        factor, unit = SCALES[name]
        return [_each(number, lambda v: v * factor) | {"unit": unit} for number in values]
    if name.startswith("over #"):
        below = sum(number["value"] for number in of_file(name.removeprefix("over #")))
        return [_each(number, lambda value: value / below) for number in values]
    raise ValueError(f"no filter {name}")


def _each(number: Number, change: Callable[[float], float]) -> Number:
    ends = number.get("interval")
    changed = {"interval": [change(end) for end in ends]} if ends else {}
    return number | {"value": change(number["value"])} | changed


def _quotable(values: list[Number]) -> list[Number]:
    return [number for number in values if not number.get("flags")] or values


def _shown(values: list[Number]) -> str:
    if any(isinstance(number["value"], str) for number in values):
        return ", ".join(dict.fromkeys(str(number["value"]) for number in values))
    if len(values) == 1:
        return claim_tables.cell(values[0])
    kept = [number for number in _quotable(values) if number["value"] is not None]
    if "interval" not in values[0]:
        ends = sorted({min(n["value"] for n in kept), max(n["value"] for n in kept)})
        return " to ".join(claim_tables.cell(kept[0] | {"value": value}) for value in ends)
    flagged = sum(bool(number.get("flags")) for number in values)
    text = extremes_text(kept)
    return f"{text}, {flagged} of {len(values)} not to be quoted" if flagged else text
