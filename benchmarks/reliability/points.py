"""Every crash point of a command: it is killed or fails at each call that changes files."""

import errno
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.reliability.commands import COMMANDS, Command, run
from benchmarks.reliability.judge import (
    Tree,
    differences,
    finished_files,
    identified,
    left_behind,
    rewritten,
    tree,
    unclear,
)
from benchmarks.reliability.shim import Action, Call, read_log
from benchmarks.reliability.zygote import HUNG, Place, Point

WAYS = {
    "crash_points": ((Action.KILL, 0), (Action.KILL_HALF, 0)),
    "enospc": ((Action.FAIL, errno.ENOSPC), (Action.FAIL_ON, errno.ENOSPC)),
    "eio": ((Action.FAIL, errno.EIO), (Action.FAIL_ON, errno.EIO)),
}
"""What is done at each point, by part of the results; half of a write only where one is written."""


QUARTER = 0.25
"""Share of the calls after which all fail, too."""


class Usual(NamedTuple):
    """A command without interruption."""

    calls: list[Call]
    before: Tree
    after: Tree
    said: str


class Attempt(NamedTuple):
    """One interruption of a command."""

    of: str
    part: str
    call: Call
    action: Action
    error: int

    @property
    def key(self) -> str:
        return f"{self.of}/{self.part}/{self.action.name}/{self.call.number}"


def usual(command: Command, folder: Path, inputs: Path) -> Usual:
    """Runs a command without interruption.

    Raises:
        RuntimeError: it failed.
    """
    place = Place.of(folder)
    command.prepare(place.root, inputs)
    before = tree(place.root)
    if run(command, place, inputs):
        raise RuntimeError(f"{command.name} failed: {place.said.read_text()}")
    return Usual(read_log(place.log), before, tree(place.root), place.told())


def attempts(of: str, part: str, calls: Sequence[Call]) -> Iterator[Attempt]:
    """All interruptions of a command."""
    for call in calls:
        for action, error in WAYS[part]:
            half_of_a_write = action != Action.KILL_HALF or call.kind == "write"
            drawn = action != Action.FAIL_ON or random.Random(call.number).random() < QUARTER
            if half_of_a_write and drawn:
                yield Attempt(of, part, call, action, error)


def seeded(attempts: Sequence[Attempt], number: int, seed: int = 0) -> list[Attempt]:
    """A sample of them, in order."""
    chosen = random.Random(seed).sample(range(len(attempts)), min(number, len(attempts)))
    return [attempts[place] for place in sorted(chosen)]


def tried(attempt: Attempt, usually: Usual, folder: Path, inputs: Path) -> dict[str, object]:
    """Interrupts a command, gives it again, and says what was lost.

    Returns:
        The attempt, what was `lost` and what the command said that was `unclear`, as lists.
    """
    command, place = COMMANDS[attempt.of], Place.of(folder)
    command.prepare(place.root, inputs)
    point = Point(attempt.action, attempt.call.number, attempt.error)
    code = run(command, place, inputs, point)
    said, calls = place.told(), read_log(place.log)
    lost, doubts = [], []
    if code == HUNG:
        lost.append("hangs")
    elif attempt.part == "crash_points":
        lost += [f"not killed: exit code {code}"] * (code != -9)
    elif code:
        doubts += unclear(said, code, usually.said)
    else:  # calls that may fail, if all is right nonetheless
        lost += differences(tree(place.root), usually.after)
    before = [call for call in calls if call.number < attempt.call.number]
    lost += left_behind(place.root, usually.before, usually.after, before)
    state = identified(place.root)
    known = folder.parent / f"{command.name.replace(' ', '-')}.states" / state
    if not known.exists():
        known.parent.mkdir(exist_ok=True)
        known.write_text(json.dumps(resumed(command, folder, inputs, usually)))
    lost += json.loads(known.read_text())
    path = attempt.call.path.replace(str(place.root), "")
    return {"key": attempt.key, "of": attempt.of, "part": attempt.part, "path": path} | {
        "call": attempt.call.kind,
        "at": attempt.call.number,
        "action": attempt.action.name,
        "state": state,
        "lost": sorted(set(lost)),
        "unclear": doubts,
    }


def resumed(command: Command, folder: Path, inputs: Path, usually: Usual) -> list[str]:
    """Gives a command again, and says what was lost."""
    again = Place.of(folder, "again")
    finished = {} if "--overwrite" in command.name else finished_files(again.root)
    lost = []
    if code := run(command, again, inputs):
        lost.append(f"not resumed: exit code {code}, {again.said.read_text()[-300:]}")
    return (
        lost
        + list(rewritten(finished, again.root))
        + list(differences(tree(again.root), usually.after))
    )


def summarised(results: Sequence[Mapping], calls: Mapping[str, Sequence[Call]]) -> dict:
    """One part of the results: how much was tried and lost, in all and by command and call."""
    rows: dict[tuple[str, str], dict[str, object]] = defaultdict(dict)
    for of, made in calls.items():
        for call in made:
            row = rows[of, call.kind]
            row |= {"of": of, "call": call.kind, "points": row.get("points", 0) + 1}
            row |= {"tried": 0, "lost": 0, "unclear": 0}
    for result in results:
        row = rows[result["of"], result["call"]]
        row["tried"] += 1
        row["lost"] += bool(result["lost"])
        row["unclear"] += bool(result["unclear"])
    whole = {key: sum(row[key] for row in rows.values()) for key in ("tried", "lost", "unclear")}
    whole["states"] = len({(result["of"], result["state"]) for result in results})
    return whole | {"rows": sorted(rows.values(), key=lambda row: list(calls).index(row["of"]))}
