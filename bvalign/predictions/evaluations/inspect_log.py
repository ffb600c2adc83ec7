"""Logs of Inspect (`inspect_ai`), .json or .eval: answers to multiple choice are votes.

Epochs of one log are members, or logs of one task, or both. Choices that logs have in another order
are matched by their texts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bvalign.predictions.evaluations.eval_logs import find_logs, is_inspect
from bvalign.predictions.evaluations.evaluations import (
    KNOWN,
    choose_tasks,
    of_known_form,
    tell_apart,
    unused_note,
)
from bvalign.predictions.evaluations.inspect_samples import Answer, read_answers, read_header
from bvalign.predictions.scores.held import held
from bvalign.predictions.scores.names import Names, refuse_options, shorten
from bvalign.predictions.scores.scores import Scores
from bvalign.predictions.tables.rows import find_rows


class _Log(NamedTuple):
    """A log, and what may tell its run from others."""

    path: Path
    task: str
    finished: bool
    model: str
    folder: tuple[str, ...]
    created: str

    @classmethod
    def of(cls, path: Path, source: Path) -> "_Log":
        header = read_header(path)
        spec = header["eval"]
        folder = path.parent.relative_to(source).parts if path != source else ()
        finished = header.get("status") == "success"
        created = str(spec.get("created", ""))
        return cls(path, str(spec["task"]), finished, str(spec.get("model")), folder, created)


class _Row(NamedTuple):
    """An answer of a member, by the order of choices that the first log has."""

    member: str
    answer: Answer


def open_inspect(path: Path, names: Names) -> Scores:
    """Opens the answers of one task.

    Raises:
        ValueError: there are several tasks, or the members' samples or choices differ.
    """
    refuse_options(path, names, ("member", "sample", "label", "scores"), KNOWN)
    with of_known_form(path, "log of Inspect"):
        paths = find_logs(path, is_inspect) if path.is_dir() else [path]
        logs = [_Log.of(one, path) for one in paths]
        tasks = choose_tasks(path, {log.task for log in logs}, names.task)
        if len(tasks) > 1:
            raise ValueError(
                f"{path}: --task {names.task} may be {shorten(tasks)}; give one whole name"
            )
        logs = [log for log in logs if log.task in tasks]
        unfinished = [log.path.name for log in logs if not log.finished]
        notes = [f"answers of task {tasks[0]} are votes"]
        if unfinished and len(unfinished) < len(logs):
            notes.append(f"left out, not finished: {shorten(unfinished)}")
            logs = [log for log in logs if log.finished]
        rows, said = _rows(path, logs, names.votes)
        notes += said
        notes += unused_note(path, paths) if path.is_dir() else ()
        return replace(_scores(path, rows, tuple(notes)), task=names.task)


def _rows(path: Path, logs: Sequence[_Log], scorer: str | None) -> tuple[list[_Row], list[str]]:
    """Reads all logs, and brings choices into one order."""
    known: dict[str, tuple[str, ...]] = {}
    rows, moved = [], set()
    for log, run in zip(logs, _runs(logs), strict=True):
        answers = read_answers(log.path, scorer)
        several = max(answer.epoch for answer in answers) > 1
        for answer in answers:
            words = [run] * bool(run) + [str(answer.epoch)] * (several or not run)
            choices = known.setdefault(str(answer.id), answer.choices)
            if choices != answer.choices:
                answer = _reordered(path, answer, choices)
                moved.add(answer.id)
            rows.append(_Row("/".join(words), answer))
    if not moved:
        return rows, []
    return rows, [f"choices of {len(moved)} samples come in several orders: matched by their texts"]


def _runs(logs: Sequence[_Log]) -> list[str]:
    """Names logs by model, folder, or time, the first of them that differs for all."""
    for runs in (
        [(log.model,) for log in logs],
        [log.folder for log in logs],
        [(log.model, log.created) for log in logs],
    ):
        if max(Counter(runs).values()) == 1:
            return tell_apart(runs)
    return [log.path.stem for log in logs]


def _reordered(path: Path, answer: Answer, choices: tuple[str, ...]) -> Answer:
    """Numbers target and vote by the given order of the same choices."""
    if sorted(choices) != sorted(answer.choices) or len({*choices}) < len(choices):
        raise ValueError(
            f"{path}: all members must have the same choices, but those of sample {answer.id} "
            f"differ: {shorten(answer.choices)} and {shorten(choices)}"
        )
    place = [choices.index(choice) for choice in answer.choices]
    vote = -1 if answer.vote < 0 else place[answer.vote]
    return answer._replace(choices=choices, target=place[answer.target], vote=vote)


def _scores(path: Path, rows: Sequence[_Row], notes: tuple[str, ...]) -> Scores:
    """Orders the answers by member and sample, and leaves out samples that one did not answer."""
    whole = all(isinstance(row.answer.id, int) for row in rows)
    numbers = all(row.member.isdecimal() for row in rows)
    members, member = np.unique(
        [int(row.member) if numbers else row.member for row in rows], return_inverse=True
    )
    ids = [row.answer.id if whole else str(row.answer.id) for row in rows]
    index, sample = np.unique(ids, return_inverse=True)
    row = find_rows(path, members, index, member, sample)
    votes = np.array([one.answer.vote for one in rows])[row]
    num_options = np.array([len(one.answer.choices) for one in rows])[row[0]]
    if not num_options.all():
        notes = (*notes, "samples without choices: their letters are the classes")
    answered = (votes >= 0).all(axis=0)
    if not answered.any():
        raise ValueError(f"{path}: no sample has one answer of every member")
    if not answered.all():
        left_out = f"left out: {(~answered).sum()} of {len(index)} samples without one answer of"
        notes = (*notes, f"{left_out} every member (errors, none or several)")
    differ = num_options.all() and len(np.unique(num_options[answered])) > 1
    scores = Scores(
        path=path,
        key="votes",
        shape=votes.shape,
        dtypes=("int64",),
        take=partial(held(votes).take, axis=1),
        labels=np.array([one.answer.target for one in rows])[row],
        index=index if whole else None,
        members=members,
        sample_names=None if whole else index,
        num_options=num_options if differ else None,
        notes=notes,
        shown={"texts": np.array([one.answer.text for one in rows])[row[0]]},
    )
    return scores if answered.all() else scores.of_samples(np.flatnonzero(answered))
