"""One analysis by several processes: by torchrun, by shards that `bvalign merge` joins, by Ray.

All of them write pieces into the folder `pieces` of the report, which must lie on a disk that all
see. Whoever finds all pieces there writes the report, as a process does that works alone.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import torch

from bvalign import __version__
from bvalign.analysis.pieces import NOWHERE, Pieces
from bvalign.atomic import remove_left, told, write_atomic
from bvalign.commands.passes import begin, identity_of, of_predictions
from bvalign.decisions import Options
from bvalign.predictions import Predictions

FOLDER, REST, ASKED, MERGED = "pieces", "rest", "asked.json", "shards.json"
"""Folder of the pieces; in it, that of samples without labels, and what shards were asked; the same
beside the report that they made."""

OF_USER = ("targets", "max_error", "confidence")
"""Fields of `Options` that a command gives."""

LONGEST = timedelta(days=365)
"""Until then processes of torchrun wait for each other; one that dies is noticed at once."""


class Work:
    """The passes over some predictions whose pieces lie beside their report.

    Args:
        predictions: opened; where some samples have no label, the others are a pass of their own.
        source: their path.
        out: folder of the report.
        shared: by several processes; a process alone keeps no piece where there is but one.
    """

    def __init__(
        self, predictions: Predictions, source: Path | str, out: Path, *, shared: bool
    ) -> None:
        self.folder = out / FOLDER
        parts = [(predictions, self.folder), (predictions.unlabelled, self.folder / REST)]
        self.parts = [
            (part, _pieces(part, source, folder, shared=shared))
            for part, folder in parts
            if part is not None
        ]

    @property
    def pieces(self) -> Pieces:
        """Those of the predictions."""
        return self.parts[0][1]

    @property
    def rest(self) -> Pieces:
        """Those of samples without labels beside others."""
        return self.parts[-1][1]

    def compute(self, shard: int, of: int, wait: Callable[[], object] = lambda: None) -> None:
        """Computes the pieces of a shard that are not there, with a bar.

        Args:
            shard: from 0.
            of: number of shards.
            wait: called when the first shard has what all need, the drawn samples.
        """
        for predictions, pieces in self.parts:
            total = of_predictions(predictions, pieces).cut.num_pieces
            share = range(total * shard // of, total * (shard + 1) // of)
            remove_left(pieces.folder)
            with begin(predictions, pieces, share, shown=shard == 0) as run:
                if shard == 0:
                    run.prepare()
                wait()
                for number in share:
                    run.piece(number)

    def missing(self) -> list[tuple[int, int]]:
        """Number and total of each piece that is not there."""
        passes = [of_predictions(*part) for part in self.parts]
        return [(number, run.cut.num_pieces) for run in passes for number in run.missing()]


def clear(out: Path, *, merged: bool) -> None:
    """Removes what is kept for a report, which is finished; other files in the folder stay.

    Args:
        out: folder of the report.
        merged: whether it is that of shards; what they were asked is then kept as `shards.json`.

    Raises:
        OSError: it cannot be removed.
    """
    folder = out / FOLDER
    try:
        if merged and (folder / ASKED).exists():
            (folder / ASKED).replace(out / MERGED)
        elif not merged:
            for path in (out / MERGED, folder / ASKED):
                with suppress(FileNotFoundError, ValueError, TypeError):
                    if "shards" in json.loads(path.read_text()):
                        path.unlink()
        for part in (folder / REST, folder):
            Pieces(part).remove()
    except OSError as error:
        raise OSError(told(error, f"could not remove {folder}")) from error


def _pieces(predictions: Predictions, source: Path | str, folder: Path, *, shared: bool) -> Pieces:
    if not shared and of_predictions(predictions, NOWHERE).cut.num_pieces == 1:
        return NOWHERE
    pieces = Pieces(folder, identity_of(predictions, source))
    pieces.refuse_others()
    return pieces


def by_torchrun(work: Work, place: tuple[int, int]) -> bool:
    """Computes the share of a process of torchrun and waits for the others.

    Args:
        work: the same in all processes.
        place: rank of this process and number of processes.

    Returns:
        Whether this process is to finish the work.

    Raises:
        ValueError: it is, and does not see what the others have written.
    """
    rank, world = place
    torch.distributed.init_process_group("gloo", timeout=LONGEST)
    try:
        work.compute(rank, world, torch.distributed.barrier)
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()
    if rank == 0 and (lost := work.missing()):
        raise ValueError(
            f"{work.folder}: {len(lost)} pieces of other processes are not there; --out must be on "
            "a disk that all nodes see"
        )
    return rank == 0


def shard_of(text: str) -> tuple[int, int]:
    """Reads `i/n`.

    Raises:
        ValueError: it is not that, or i is not below n.

    >>> shard_of("3/8")
    (3, 8)
    """
    shard, _, of = text.partition("/")
    if not (shard.isdecimal() and of.isdecimal() and int(shard) < int(of)):
        raise ValueError(f"--shard must be i/n with i from 0 to n - 1, as 0/8, got {text}")
    return int(shard), int(of)


def remember(folder: Path, asked: Mapping[str, object], of: int) -> None:
    """Writes what shards are asked, for `bvalign merge`.

    Args:
        folder: of the pieces.
        asked: arguments of `analyze_and_report`.
        of: number of shards.

    Raises:
        ValueError: another shard was asked something else.
    """
    path = folder / ASKED
    options = {name: getattr(asked["options"], name) for name in OF_USER}
    content = plain({**asked, "options": options, "shards": of, "version": __version__})
    if path.exists() and (before := _read(path)) != content:
        differ = [key for key in content | before if content.get(key) != before.get(key)]
        raise ValueError(
            f"{path}: other shards were asked with another {', '.join(differ)}; remove the folder, "
            "or choose another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(content, indent=1).encode())


def remembered(out: Path) -> tuple[dict[str, object], int]:
    """Reads what the shards of a report were asked, and their number.

    Raises:
        ValueError: there are none, or the file is damaged.
    """
    path = out / FOLDER / ASKED
    if not path.exists():
        raise ValueError(
            f"{path}: there is no such file, so no shards to merge; `bvalign analyze PREDICTIONS "
            f"--out {out} --shard i/n` computes them"
        )
    asked = _read(path)
    if asked.pop("version") != __version__:
        raise ValueError(
            f"{path}: the shards were computed by another version of bvalign, not {__version__}; "
            "remove the folder and run them again"
        )
    asked["options"] = Options(**asked["options"])
    return asked, asked.pop("shards")


def plain(value: object) -> object:
    """Arguments as JSON has them, with paths from the root."""
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def are_merged(out: Path) -> bool:
    """Returns whether there are no other shards than those that made the report."""
    return (out / MERGED).exists() and not (out / FOLDER / ASKED).exists()


def check_all_there(work: Work, of: int) -> None:
    """Checks that no shard is missing.

    Raises:
        ValueError: one is; the message names it.
    """
    lost = work.missing()
    shards = sorted({(of * (number + 1) - 1) // total for number, total in lost})
    if lost:
        named = ", ".join(f"{shard}/{of}" for shard in shards[:8]) + ", ..." * (len(shards) > 8)
        raise ValueError(
            f"{work.folder}: {len(lost)} pieces are missing, or of predictions that have changed "
            f"since; run `bvalign analyze` with --shard {named}"
        )


def _read(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text())
        if not content.keys() >= {"source", "options", "shards", "version"}:
            raise ValueError("incomplete")
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: damaged ({error}); remove it and run the shards again"
        ) from error
    return content
