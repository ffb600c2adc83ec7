"""`results.json` of what goes wrong, a part at a time, and `results.md` that it is rendered to.

Each part is stored by the command that measures it; the others stay as they are. A part is a dict
of numbers, among them those of `COUNTED`; the rows of its tables are lists of dicts, and `left_out`
says what was tried and is not counted.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bvalign.atomic import write_atomic

HERE = Path(__file__).parent
COUNTED = {
    "crash_points": "SIGKILL at every point",
    "enospc": "disk full at every point",
    "eio": "disk error at every point",
    "random_kills": "SIGKILL at random moments",
    "bad_inputs": "bad inputs",
}
"""Parts, and what they try."""

POINTS = ("crash_points", "enospc", "eio")
"""Parts whose rows are by command and kind of call, and make one table."""


def store(part: str, result: Mapping[str, object], folder: Path = HERE) -> None:
    """Stores a part in results.json, and renders results.md.

    Args:
        part: its key.
        result: plain JSON; with `tried`, and `lost` or `failed`; `rows` is a table.
        folder: of both files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = read(folder) | {part: dict(result)}
    write_atomic(folder / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    write_atomic(folder / "results.md", markdown(results).encode())


def read(folder: Path = HERE) -> dict[str, dict]:
    """The parts that are stored."""
    path = folder / "results.json"
    return json.loads(path.read_text()) if path.exists() else {}


def markdown(results: Mapping[str, Mapping]) -> str:
    """The page: how much was tried and lost, then a table for each part that has one."""
    counts = [
        {"part": f"`{part}`", "what": what}
        | {key: value for key, value in results[part].items() if isinstance(value, int)}
        for part, what in COUNTED.items()
        if part in results
    ]
    lines = ["# What goes wrong, and what is lost", ""]
    lines += [f"Made by `{command}`." for command in _commands(results)]
    lines += ["", *table(counts), ""]
    lines += [f"`{part}`: {r['left_out']}\n" for part, r in results.items() if "left_out" in r]
    if points := _points(results):
        lines += ["## Crash points by command and kind of call", "", *table(points), ""]
    for part, result in results.items():
        if part not in POINTS and result.get("rows"):
            lines += [f"## {COUNTED.get(part, part).capitalize()}", "", *table(result["rows"]), ""]
    return "\n".join(lines)


def table(rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Lines of a table with a column for each key of the rows."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    yield f"| {' | '.join(column.replace('_', ' ') for column in columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"
    for row in rows:
        yield f"| {' | '.join(str(row.get(column, '')) for column in columns)} |"


def _commands(results: Mapping[str, Mapping]) -> list[str]:
    return list(dict.fromkeys(r["command"] for r in results.values() if "command" in r))


def _points(results: Mapping[str, Mapping]) -> list[dict[str, object]]:
    """A row per command and kind of call, with what each part has tried and lost there."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for part in POINTS:
        for row in results.get(part, {}).get("rows", ()):
            key = (row["of"], row["call"])
            known = rows.setdefault(key, {"command": key[0], "call": key[1]})
            known |= {"points": row["points"], COUNTED[part].partition(" at ")[0]: row["tried"]}
            known["lost"] = known.get("lost", 0) + row["lost"]
    return list(rows.values())
