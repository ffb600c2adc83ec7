"""Evaluations by lm-evaluation-harness, as `--log_samples` writes them: options are classes.

    samples_arc_easy_2026-01-31T12-00-00.000000.jsonl     one run; several of a task are members
    model/samples_arc_easy_2026-....jsonl                 a folder for each member
    seed0/model/samples_arc_easy_2026-....jsonl           the same one below

Log-likelihoods of the options are logits, so that their softmax is over the options of a doc, which
may differ in number. Tasks of a group are read as one, each a cluster.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from bvalign.predictions.damage import damaged
from bvalign.predictions.evaluations.eval_logs import (
    find_logs,
    is_lm_eval,
    open_text,
    read_beginning,
)
from bvalign.predictions.evaluations.evaluations import (
    KNOWN,
    choose_tasks,
    of_known_form,
    tell_apart,
    unused_note,
)
from bvalign.predictions.evaluations.lm_eval_docs import Doc, read_docs
from bvalign.predictions.scores.names import Names, refuse_options
from bvalign.predictions.scores.scores import Scores
from bvalign.predictions.tables.jsonl import read_rows
from bvalign.predictions.tables.layout import Layout
from bvalign.predictions.tables.table import Table, scores_of_table

NAME = re.compile(r"samples_(.+)_(\d{4}-\d\d-\d\dT[-:.\d]+)")
TYPES = {
    "member": pa.string(),
    "sample": pa.string(),
    "label": pa.int64(),
    "logits": pa.list_(pa.float64()),
    "text": pa.string(),
}


class _File(NamedTuple):
    """A file, its task, and its run as words."""

    path: Path
    task: str  # empty if its name does not say it
    folder: tuple[str, ...]
    run: str

    @classmethod
    def of(cls, path: Path, source: Path) -> "_File":
        stem = path.name.split(".json")[0]
        named = NAME.fullmatch(stem)
        folder = path.parent.relative_to(source).parts if path != source else ()
        return cls(path, named[1] if named else "", folder, named[2] if named else stem)


def open_lm_eval(path: Path, names: Names) -> Scores:
    """Opens the log-likelihoods of one task, or of a group.

    Raises:
        ValueError: there are several tasks, the task has no options, or the members' docs differ.
    """
    refuse_options(path, names, ("member", "sample", "label", "scores", "votes"), KNOWN)
    paths = find_logs(path, is_lm_eval) if path.is_dir() else [path]
    files = [_File.of(one, path) for one in paths]
    tasks = choose_tasks(path, {file.task for file in files}, names.task)
    files = [file for file in files if file.task in tasks]
    notes: dict[str, None] = {}
    group = len(tasks) > 1

    def batches(_: Layout) -> Iterator[pa.RecordBatch]:
        hashes: dict[str, tuple[str, str]] = {}
        for file, member in zip(files, _members(files), strict=True):
            with of_known_form(file.path, "log of lm-evaluation-harness"):
                docs, labels, said = read_docs(file.path, _rows(file.path))
            notes.update(dict.fromkeys(said))
            samples = [f"{file.task}/{doc.id}" if group else doc.id for doc in docs]
            for sample, doc in zip(samples, docs, strict=True):
                if doc.hash:
                    _check_same(path, hashes.setdefault(sample, (doc.hash, member)), doc, member)
            columns = {
                "member": [member] * len(docs),
                "sample": samples,
                "label": labels,
                "logits": [doc.logits for doc in docs],
                "text": [doc.text for doc in docs],
                "cluster": [file.task] * len(docs),
            }
            yield pa.RecordBatch.from_arrays(
                [pa.array(columns[name], kind) for name, kind in types.items()], list(types)
            )

    types = TYPES | ({"cluster": pa.string()} if group else {})
    scores = scores_of_table(Table(path, types, batches), Names())
    what = f"{len(tasks)} tasks, each a cluster" if group else f"task {tasks[0] or 'not named'}"
    said = f"{what}: log-likelihoods of options are logits, as in acc; acc_norm divides by length"
    unused = unused_note(path, [file.path for file in files]) if path.is_dir() else ()
    return replace(scores, task=names.task, notes=(said, *notes, *unused))


def _members(files: Sequence[_File]) -> list[str]:
    """Names the member of each file: by its folder, and the time where a folder has several."""
    alone = max(Counter((file.folder, file.task) for file in files).values()) == 1
    named = tell_apart([file.folder if alone else (*file.folder, file.run) for file in files])
    return [name or "0" for name in named]


def _check_same(path: Path, known: tuple[str, str], doc: Doc, member: str) -> None:
    """Checks that a doc is the one that has its number in another member."""
    first, other = known
    if doc.hash != first:
        raise ValueError(
            f"{path}: all members must be evaluated on the same docs, with their options in one "
            f"order, but doc {doc.id} differs between {other} and {member} (doc_hash)"
        )


def _rows(path: Path) -> Iterator[dict[str, object]]:
    """Yields the docs of lines, or of one list."""
    try:
        if not read_beginning(path).startswith("["):
            yield from read_rows(path)
            return
        with open_text(path) as file:
            yield from json.load(file)
    except (OSError, UnicodeDecodeError, EOFError, json.JSONDecodeError) as error:
        raise damaged(path, ".jsonl in UTF-8", error) from error
