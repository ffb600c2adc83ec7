"""The docs of one file of lm-evaluation-harness: log-likelihoods of options, and which is right.

A line is one doc, as of version 0.4; before 0.4.3 the file was one list, with numbers for strings:

    {"doc_id": 7, "target": "1", "arguments": {"gen_args_0": {"arg_0": context, "arg_1": " yes"},
     ...}, "filtered_resps": [["-3.25", "False"], ...], "filter": "none", "acc": 1.0, ...}

`target` is written as text, so that "1" may be the number of an option, from 0, or its text: what
fits all docs and their `acc`, which says whether the option of highest log-likelihood is right.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bvalign.predictions.scores.names import TEXT

TEXT_LENGTH = 1000


class Doc(NamedTuple):
    """What one line says."""

    id: str
    logits: list[float]  # log-likelihoods of the options
    options: list[str]  # their texts; empty if the file does not say
    target: str
    acc: float | None
    text: str
    hash: str | None

    @property
    def best(self) -> int:
        return max(range(len(self.logits)), key=self.logits.__getitem__)


class Docs(NamedTuple):
    """The docs of a file, the option that is right in each, -1 if none, and what was guessed."""

    docs: list[Doc]
    labels: list[int]
    notes: list[str]


def read_docs(path: Path, rows: Iterable[Mapping[str, object]]) -> Docs:
    """Reads the docs of a file.

    Args:
        path: named in messages.
        rows: its lines, in order.

    Raises:
        ValueError: there are no log-likelihoods of options, or it is not clear which is right.
    """
    first, docs, notes = None, {}, {}
    for row in rows:
        named, given = row.get("filter"), str(row.get("doc_id"))
        first = named if not docs else first
        if named != first:
            notes[f"filter '{first}' is read, not '{named}'"] = None
        elif named is None and given in docs:
            notes["of docs that are there for several filters the first is read"] = None
        else:
            doc, halved = _read_doc(path, given, row)
            docs[given if named is None else len(docs)] = doc
            if halved:
                notes["log-likelihoods without context (acc_mutual_info) are not used"] = None
    if not docs:
        raise ValueError(f"{path}: has no docs")
    labels, said = _right_options(path, list(docs.values()))
    return Docs(list(docs.values()), labels, [*notes, *said])


def _read_doc(path: Path, given: str, row: Mapping[str, object]) -> tuple[Doc, bool]:
    """Reads a line; tells whether its second half of options, without context, was left out."""
    responses = row.get("filtered_resps") or [
        repeats[0] if repeats else None for repeats in row.get("resps", [])
    ]
    logits = _log_likelihoods(responses)
    if logits is None or len(logits) < 2:
        what = "one log-likelihood" if logits else f"no log-likelihoods but {str(responses)[:40]}"
        raise ValueError(
            f"{path}: doc {given} has {what}; only multiple-choice tasks are read, whose options "
            "are the classes"
        )
    arguments = row.get("arguments") or []
    arguments = list(arguments.values()) if isinstance(arguments, Mapping) else arguments
    pairs = [list(a.values()) if isinstance(a, Mapping) else a for a in arguments]
    known = len(pairs) == len(logits) and all(len(pair) > 1 for pair in pairs)
    contexts, options = ([str(pair[k]) for pair in pairs] if known else [] for k in (0, 1))
    half = len(logits) // 2
    halved = known and options[:half] == options[half:] and not any(contexts[half:])
    halved = halved and any(contexts[:half])
    end = half if halved else None
    acc, target = row.get("acc"), row.get("target")
    doc = Doc(
        id=given,
        logits=logits[:end],
        options=options[:end],
        target=(target if isinstance(target, str) else json.dumps(target)).strip(),
        acc=float(acc) if isinstance(acc, int | float) else None,
        text=_text(row.get("doc"), contexts),
        hash=row.get("doc_hash"),
    )
    return doc, halved


def _log_likelihoods(responses: object) -> list[float] | None:
    """Reads [[log-likelihood, is greedy], ...] of numbers or strings."""
    if not isinstance(responses, list) or not responses:
        return None
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in responses):
        return None
    try:
        return [float(pair[0]) for pair in responses]
    except (TypeError, ValueError):
        return None


def _text(doc: object, contexts: Sequence[str]) -> str:
    """The question for the report: by its name, or the end of the prompt, after any examples."""
    named = doc if isinstance(doc, Mapping) else {}
    found = [named[name] for name in TEXT if isinstance(named.get(name), str)]
    prompt = contexts[0].rpartition("\n\n")[2] if contexts else ""
    return (found or [prompt])[0][:TEXT_LENGTH]


def _right_options(path: Path, docs: Sequence[Doc]) -> tuple[list[int], list[str]]:
    """Finds the right option of each doc, and says how."""
    partly = next((doc for doc in docs if doc.acc not in (0, 1, None)), None)
    several = next((doc for doc in docs if len(_as_list(doc.target)) > 1), None)
    if partly or several:
        found = f"doc {several.id} has {several.target}" if several else f"acc is {partly.acc:.3g}"
        raise ValueError(
            f"{path}: only tasks with one right option are read, but {found}; choose another task"
        )
    if any(len({*doc.options}) == 1 for doc in docs):
        return _by_acc(path, docs)
    readings = {name: [read(doc) for doc in docs] for name, read in READINGS.items()}
    fitting = {name: found for name, found in readings.items() if None not in found}
    if not fitting:
        doc = next((d for d in docs if all(read(d) is None for read in READINGS.values())), docs[0])
        raise ValueError(
            f"{path}: target must be the number, text or letter of an option, but that of doc "
            f"{doc.id} is {doc.target[:40]!r}"
        )
    misses = {name: _misses(docs, labels) for name, labels in fitting.items()}
    best, *others = sorted(fitting, key=misses.get)
    if any(misses[name] == misses[best] and fitting[name] != fitting[best] for name in others):
        raise ValueError(
            f"{path}: target may be the number of an option, from 0, or its text, and there is no "
            "acc that tells; log the metric acc, too"
        )
    notes = [] if best == "number" else [f"target is the {best} of the right option"]
    wrong, _ = misses[best]
    if wrong:
        notes.append(
            f"acc of {wrong} of {len(docs)} docs does not say whether the option of highest "
            "log-likelihood is the target: the task has an acc of its own"
        )
    return fitting[best], notes


def _misses(docs: Sequence[Doc], labels: Sequence[int]) -> tuple[int, int]:
    """Counts docs whose acc speaks against their labels, and those without a label."""
    against = sum(
        doc.acc is not None and (doc.best == label) != (doc.acc == 1)
        for doc, label in zip(docs, labels, strict=True)
    )
    return against, sum(label < 0 for label in labels)


def _by_acc(path: Path, docs: Sequence[Doc]) -> tuple[list[int], list[str]]:
    """Finds the right one of two options that differ in their contexts alone, as in winogrande."""
    unclear = next((doc for doc in docs if len(doc.logits) > 2 or doc.acc is None), None)
    if unclear:
        raise ValueError(
            f"{path}: options stand in the contexts, so that target does not tell the right one; "
            f"doc {unclear.id} needs acc and two options"
        )
    labels = [doc.best if doc.acc == 1 else 1 - doc.best for doc in docs]
    return labels, ["options stand in the contexts; the right one is found by acc"]


def _as_list(target: str) -> list[object]:
    """Reads a target like [0, 2]; one alone is a list of one."""
    try:
        value = json.loads(target)
    except ValueError:
        return [target]
    return value if isinstance(value, list) else [value]


def _by_number(doc: Doc) -> int | None:
    (value,) = _as_list(doc.target) or [None]
    value = {"True": 1, "False": 0}.get(value, value) if isinstance(value, str) else value
    if not isinstance(value, int):
        return None
    return int(value) if 0 <= value < len(doc.logits) else -1


def _by_text(doc: Doc) -> int | None:
    options = [option.strip() for option in doc.options]
    return options.index(doc.target) if doc.target in options else None


def _by_letter(doc: Doc) -> int | None:
    number = ord(doc.target) - ord("A") if len(doc.target) == 1 else -1
    return number if 0 <= number < len(doc.logits) else None


READINGS: dict[str, Callable[[Doc], int | None]] = {
    "number": _by_number,
    "text": _by_text,
    "letter": _by_letter,
}
"""What a target may be of the right option."""
