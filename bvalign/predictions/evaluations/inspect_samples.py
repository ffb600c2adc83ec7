"""What an Inspect log says of each sample: choices, the right one, and the model's answer.

A log is one JSON object, or an `.eval`: a zip of `header.json`, the log without its samples, and
`samples/<id>_epoch_<n>.json`, since 2026 compressed with zstd, which pyarrow decompresses.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from bvalign.predictions.damage import check_inflation, damaged
from bvalign.predictions.scores.names import shorten
from bvalign.predictions.scores.npz import data_offset

TEXT_LENGTH = 1000
ZSTD = 93
SAMPLE = re.compile(r"samples/.+_epoch_\d+(\.json|/sample\.json)", re.DOTALL)
DAMAGES = (ValueError, OSError, EOFError, RuntimeError, KeyError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged log raises."""

LETTER = re.compile(r"\(?([A-Za-z]|\d+)[).]?")
SEVERAL = re.compile(r"[A-Z](\s*,?\s*[A-Z])+")
RIGHT, WRONG = ("C", 1), ("I", 0)
"""Values of a score that say whether the answer is the target."""


class Answer(NamedTuple):
    """A sample in one epoch."""

    id: int | str
    epoch: int
    choices: tuple[str, ...]  # empty if the log has none
    target: int
    vote: int  # -1 without one answer
    text: str


def read_header(path: Path) -> dict[str, object]:
    """Reads what a log says of the whole evaluation.

    Raises:
        ValueError: the log is damaged.
    """
    try:
        if path.suffix.lower() != ".eval":
            return json.loads(path.read_text(encoding="utf-8-sig"))
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename: info for info in archive.infolist()}
            info = entries.get("header.json") or entries.get("_journal/start.json")
            if info is None:
                raise ValueError("no header.json")
            return json.loads(_unpack(path, archive, info))
    except DAMAGES as error:
        if str(error).startswith(str(path)):
            raise
        raise damaged(path, "log of Inspect", error) from error


def read_answers(path: Path, scorer: str | None) -> list[Answer]:
    """Reads the answers of a log.

    Args:
        path: of the log.
        scorer: whose answers; None for `choice`, or the only one.

    Raises:
        ValueError: there are no samples, they have no choices, several are right, or scores do not
            say what answers and targets do.
    """
    samples = list(_samples(path))
    if not samples:
        raise ValueError(f"{path}: has no samples; log them, with --log-samples")
    for number, sample in enumerate(samples):
        if not isinstance(sample, Mapping) or "id" not in sample:
            raise ValueError(f"{path}: sample {number} has no 'id'; is this a log of Inspect?")
    scorer = _scorer(path, samples, scorer)
    scores = [(sample.get("scores") or {}).get(scorer) or {} for sample in samples]
    answers = [_answer(path, *pair) for pair in zip(samples, scores, strict=True)]
    wrong = [
        (answer, score)
        for answer, score in zip(answers, scores, strict=True)
        if answer.vote >= 0
        and score.get("value") in (WRONG if answer.vote == answer.target else RIGHT)
    ]
    if wrong:
        answer, score = wrong[0]
        raise ValueError(
            f"{path}: {len(wrong)} of {len(answers)} scores do not say whether answers are the "
            f"target, the first is {score['value']!r} for sample {answer.id}, answer "
            f"{score['answer']!r}; --votes chooses another scorer"
        )
    return answers


def _samples(path: Path) -> Iterator[dict[str, object]]:
    """Yields the samples of a log."""
    try:
        if path.suffix.lower() != ".eval":
            yield from read_header(path).get("samples") or []
            return
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename: info for info in archive.infolist()}
            for name, info in entries.items():
                if SAMPLE.fullmatch(name):
                    yield json.loads(_unpack(path, archive, info))
    except DAMAGES as error:
        if str(error).startswith(str(path)):
            raise
        raise damaged(path, "log of Inspect", error) from error


def _unpack(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    check_inflation(path, info.file_size, info.compress_size)
    if info.compress_type != ZSTD:
        return archive.read(info)
    with path.open("rb") as file:
        file.seek(data_offset(path, info))
        packed = file.read(info.compress_size)
    return pa.Codec("zstd").decompress(packed, info.file_size, asbytes=True)


def _scorer(path: Path, samples: Sequence[Mapping[str, object]], given: str | None) -> str | None:
    """Chooses the scorer whose answers are read."""
    names = list(dict.fromkeys(n for sample in samples for n in sample.get("scores") or {}))
    if given is not None and given not in names:
        raise ValueError(f"{path}: --votes {given} is no scorer, has {shorten(names)}")
    if given is None and len(names) > 1 and "choice" not in names:
        raise ValueError(f"{path}: has the scorers {shorten(names)}; choose one with --votes")
    return given or ("choice" if "choice" in names else next(iter(names), None))


def _answer(path: Path, sample: Mapping[str, object], score: Mapping[str, object]) -> Answer:
    """Reads a sample."""
    choices, target = tuple(sample.get("choices") or ()), sample.get("target")
    targets = target if isinstance(target, list) else [str(target)]
    if len(targets) == 1 and SEVERAL.fullmatch(targets[0]) and targets[0] not in choices:
        targets = re.findall("[A-Z]", targets[0])
    right = [_number(choices, text) for text in targets]
    if len(right) != 1 or -1 in right:
        raise ValueError(
            f"{path}: target {target!r} of sample {sample['id']} is not one of its "
            f"{len(choices)} choices; only logs of multiple choice with one right answer are read"
        )
    answer = None if sample.get("error") else score.get("answer")
    vote = -1 if answer is None else _number(choices, str(answer))
    return Answer(sample["id"], int(sample.get("epoch", 1)), choices, right[0], vote, _text(sample))


def _number(choices: Sequence[str], answer: str) -> int:
    """Gives the number of a choice by its letter, by numbers from 1 after Z, or by its text."""
    answer = str(answer).strip()
    letter = LETTER.fullmatch(answer)
    if letter:
        end = letter[1]
        number = ord(end.upper()) - ord("A") if end.isalpha() else 25 + int(end)
        if number < (len(choices) or 26):
            return number
    texts = [choice.strip() for choice in choices]
    return texts.index(answer) if answer in texts else -1


def _text(sample: Mapping[str, object]) -> str:
    """The question for the report: the input, or what its last message says."""
    text = sample.get("input") or ""
    while isinstance(text, list):
        text = text[-1] if text else ""
        text = text.get("content", text.get("text", "")) if isinstance(text, Mapping) else text
    return str(text)[:TEXT_LENGTH]
