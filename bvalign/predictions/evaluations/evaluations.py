"""Several logs of evaluations: which are of the task, and what their runs are called."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from pathlib import Path

from bvalign.predictions.damage import damaged
from bvalign.predictions.scores.names import shorten

KNOWN = "a log of evaluations, whose names are known"
"""What is told to who gives others."""


def choose_tasks(path: Path, tasks: Collection[str], given: str | None) -> list[str]:
    """Chooses one of the tasks, or all whose names begin alike, as those of a group do.

    Args:
        path: named in messages.
        tasks: names, as in mmlu_anatomy or inspect_evals/arc; empty where logs do not say it.
        given: the whole name, what stands after its slash, or before an underscore; None where
            there should be one task only.

    Raises:
        ValueError: there are several, or none of that name.
    """
    named = sorted(name for name in {*tasks} if name)
    if given is None:
        if len({*tasks}) == 1:
            return [*tasks]
        raise ValueError(
            f"{path}: has several tasks, {shorten(named)}; choose one with --task, or several by "
            "how their names begin, as in --task mmlu"
        )
    found = [name for name in named if given in (name, name.rpartition("/")[2])]
    found = found or [name for name in named if name.startswith(f"{given}_")]
    if not found:
        raise ValueError(f"{path}: --task {given} is not there, has {shorten(named)}")
    return found


@contextmanager
def of_known_form(path: Path, what: str) -> Iterator[None]:
    """Reads a log whose parts may be other JSON than they must be.

    Args:
        path: named in messages.
        what: is read.

    Raises:
        ValueError: in place of what Python says of the wrong type.
    """
    try:
        yield
    except (AttributeError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise damaged(path, what, error) from error


def tell_apart(runs: Sequence[tuple[str, ...]]) -> list[str]:
    """Names runs by those words of their descriptions that are not the same for all."""
    if len({len(words) for words in runs}) > 1:
        return ["/".join(words) for words in runs]
    differ = [len({*words}) > 1 for words in zip(*runs, strict=True)]
    return ["/".join(compress(words, differ)) for words in runs]


def unused_note(folder: Path, used: Collection[Path]) -> tuple[str, ...]:
    """Names the other files of the folder, and of those in which logs lie."""
    folders = dict.fromkeys([folder, *(file.parent for file in used)])
    files = [f for one in folders for f in sorted(one.iterdir()) if f.is_file() and f not in used]
    return (f"not used: {shorten([f.name for f in files])}",) if files else ()
