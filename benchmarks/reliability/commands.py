"""The commands that are interrupted, each with what is there before it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.reliability.zygote import PATIENCE, Place, Point, Server, start, wait
from bvalign.analysis import passes
from bvalign.predictions import predictions

FIT = (
    "fit --data=Digits --data.num_train=40 --data.num_test=40 --data.batch_size=20 "
    "--model.arch=mlp --model.width=4 --model.plan=sequential --model.pack_size=1 "
    "--trainer.max_epochs=2 --trainer.accelerator=cpu --trainer.deterministic=true "
    "--checkpoints.seconds=0 --checkpoints.every_n_steps=1 --predictions.train=true"
).split()
"""A fit of a second: a checkpoint after every optimizer step, logits on both splits."""


class Command(NamedTuple):
    """A command line, and the folder it changes."""

    name: str
    words: Callable[[Path, Path], list[str]]  # of the folder it changes and of the inputs
    before: str | None = None  # folder of the inputs that is there before it
    pieces: bool = False  # whether the samples are to fill several pieces

    def prepare(self, root: Path, inputs: Path) -> None:
        """Puts the folder in the state before the command."""
        shutil.rmtree(root, ignore_errors=True)
        if self.before:
            shutil.copytree(inputs / self.before, root)


def fit(root: Path, members: int = 2, logger: str = "CSVLogger") -> list[str]:
    """The command line of a fit."""
    where = [f"--trainer.default_root_dir={root}", f"--model.members={members}"]
    if logger == "false":
        return [*FIT, *where, "--trainer.logger=false"]
    return [*FIT, *where, f"--trainer.logger={logger}", f"--trainer.logger.save_dir={root}"]


def shard(root: Path, inputs: Path, number: int) -> list[str]:
    """The command line of one of two shards."""
    source = str(inputs / "new.npz")
    return ["analyze", source, "--out", str(root), "--shard", f"{number}/2"]


_SERVERS: dict[tuple[str, ...], Server] = {}


def run(
    command: Command,
    place: Place,
    inputs: Path,
    point: Point = Point(),  # noqa: B008 (immutable)
    patience: float = PATIENCE,
) -> int:
    """Runs a command to its end.

    Args:
        command: that command.
        place: where.
        inputs: made by `make_inputs`.
        point: when it dies or fails.
        patience: seconds until it is killed.

    Returns:
        As `wait` does.
    """
    words = command.words(place.root, inputs)
    if words[0] not in ("fit", "test"):
        first = smaller_pieces if command.pieces else lambda: None
        return wait(start(words, place, point, first=first), patience)
    key = (str(os.getpid()), *words)  # a fork of this process has its own
    if key not in _SERVERS:
        _SERVERS[key] = Server(words, place)
    return _SERVERS[key].run(place, point, patience)


def smaller_pieces() -> None:
    """Lets 60 samples of 6 members and 4 classes fill three pieces, in this process."""
    predictions.RANGE_BYTES, passes.PIECE_RANGES = 10 * 8 * 6 * 4, 2


COMMANDS = {
    command.name: command
    for command in (
        Command("report", lambda root, _: ["report", str(root)], "run"),
        Command(
            "analyze",
            lambda root, inputs: ["analyze", str(inputs / "new.npz"), "--out", str(root)],
        ),
        Command(
            "analyze over a report",
            lambda root, inputs: ["analyze", str(inputs / "new.npz"), "--out", str(root)],
            "old_report",
        ),
        Command(
            "analyze in pieces",
            lambda root, inputs: ["analyze", str(inputs / "new.npz"), "--out", str(root)],
            pieces=True,
        ),
        Command("analyze --shard", lambda root, inputs: shard(root, inputs, 1), pieces=True),
        Command("merge", lambda root, _: ["merge", str(root)], "shards", pieces=True),
        Command(
            "apply",
            lambda root, inputs: [
                *("apply", str(inputs / "old_report" / "abstain.json"), str(inputs / "new.npz")),
                *("--out", str(root / "accepted.csv")),
            ],
        ),
        Command(
            "compare",
            lambda root, inputs: [
                *("compare", str(inputs / "old_report"), str(inputs / "run")),
                *("--out", str(root)),
            ],
        ),
        Command(
            "figures",
            lambda root, inputs: [
                *("figures", str(inputs / "new.npz"), "--out", str(root), "--only", "ratio"),
                *("--format", "pdf,png"),
            ],
        ),
        Command("fit", lambda root, _: fit(root)),
        Command("fit of more members", lambda root, _: fit(root, logger="false"), "one_member"),
        Command(
            "fit --overwrite", lambda root, _: [*fit(root, 1, "false"), "--overwrite"], "one_member"
        ),
        Command("test", lambda root, _: ["test", *fit(root, logger="false")[1:]], "run"),
    )
}
"""By name."""


def make_inputs(inputs: Path) -> None:
    """Makes what the commands read, and what is there before them.

    Raises:
        RuntimeError: a command failed.
    """
    inputs.mkdir(parents=True)
    for name, seed in (("old", 1), ("new", 0)):
        rng = np.random.default_rng(seed)
        labels = rng.integers(4, size=60)
        logits = rng.standard_normal((6, 60, 4)) + 3 * np.eye(4)[labels]
        labels[:2] = (labels[:2] + 1) % 4  # wrong labels, so that there is a review.html
        np.savez(inputs / f"{name}.npz", logits=logits.astype(np.float32), labels=labels)
    for name, words, first in (
        ("run", fit(inputs / "run", logger="false"), None),
        ("one_member", fit(inputs / "one_member", 1, "false"), None),
        ("old_report", ["analyze", f"{inputs}/old.npz", "--out", f"{inputs}/old_report"], None),
        ("shards", shard(inputs / "shards", inputs, 0), smaller_pieces),
        ("shards", shard(inputs / "shards", inputs, 1), smaller_pieces),
    ):
        place = Place(inputs / name, inputs / "calls", inputs / "stderr")
        if wait(start(words, place, first=first or (lambda: None))):
            raise RuntimeError(f"{' '.join(words)} failed: {place.said.read_text()}")
