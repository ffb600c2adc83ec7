"""Which columns of a table hold what: members, samples, labels and scores.

    member, sample, label, logit0, logit1     a row for each member and sample
    id, target, prob_cat, prob_dog            one member, a row for each sample
    text, label, model0, model1               votes: a row for each sample, a column for each member

Scores are columns that differ in a number from 0 on or in the name of a class, or one column of
lists. Names are given by option, or guessed where there is one reading.
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from bvalign.predictions.scores.names import (
    CLUSTER,
    KINDS,
    LABEL,
    LOGITS,
    MEMBER,
    PROBS,
    SAMPLE,
    TEXT,
    UNNAMED,
    VOTES,
    Names,
    find_name,
    group_columns,
    shorten,
)

SINGLE = {name: KINDS[name] for name in (*LOGITS, *PROBS, *UNNAMED)}
SINGLE |= {"z": "logits", "y_prob": "probs", "y_score": "scores"}
"""Columns that may hold the one output of a binary classifier, and its kind."""

ROW_NUMBER = r"|Unnamed: \d+|__index_level_\d+__"
"""Names under which pandas writes the number of a row."""


class Layout(NamedTuple):
    """Names of the columns that are read."""

    key: str  # logits, probs, votes, or scores where the values tell
    member: str | None  # None where the table is of one member, or a column of votes is one
    sample: str | None  # None for rows that are samples 0, 1, ...
    label: str | None
    cluster: str | None
    groups: Mapping[str, str]  # column -> what it tells
    text: str | None
    scores: tuple[str, ...]  # one per class, one of lists, or of votes one per member
    classes: tuple[str, ...]  # names of the classes, where columns are named after them
    notes: tuple[str, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Columns that hold one number or name in each row, without votes."""
        ids = (self.member, self.sample, self.label, self.cluster, *self.groups, self.text)
        return tuple(name for name in ids if name)

    @property
    def values(self) -> tuple[str, ...]:
        """Columns that hold one number or name in each row."""
        return (*self.ids, *self.scores) if self.key == "votes" else self.ids


def find_layout(path: Path, types: Mapping[str, pa.DataType], names: Names) -> Layout:
    """Finds the columns of ids and scores.

    Args:
        path: named in messages.
        types: of all columns, in order.
        names: given by the user.

    Raises:
        ValueError: a column is missing, or not clear.
    """
    member = find_name(path, "member", MEMBER, types, names.member)
    sample = find_name(path, "sample", SAMPLE, types, names.sample)
    if member and sample is None:
        sample = _one_id(types)
    label = find_name(path, "label", LABEL, types, names.label)
    cluster = find_name(path, "cluster", CLUSTER, types, None)
    text = next((name for name in types if name.lower() in TEXT), None)
    groups = group_columns([name for name in types if not is_list(types[name])])
    ids = {member, sample, label, cluster, *groups, text}
    rest = {name: kind for name, kind in types.items() if name not in ids}
    key, scores, classes = _find_scores(path, rest, names, member)
    if member and sample is None:
        raise ValueError(
            f"{path}: needs a column 'sample' that tells the rows of member '{member}' apart, has "
            f"{shorten(types)}; choose it with --sample"
        )
    own = {"member": member, "sample": sample, "label": label}
    guessed = [f"{what} is '{name}'" for what, name in own.items() if name and name != what]
    if scores[0] not in ("logit0", "p0", key):
        guessed.append(f"{key} {'are' if len(scores) > 1 else 'is'} {shorten(scores, 4)}")
    used = {*scores}
    unused = [name for name in rest if name not in used and not re.fullmatch(ROW_NUMBER, name)]
    notes = [f"columns: {', '.join(guessed)}"] if guessed else []
    notes += [f"not used: {', '.join(unused)}"] if unused else []
    ids = (member, sample, label, cluster, groups, text)
    return Layout(key, *ids, scores, classes, tuple(notes))


def _one_id(types: Mapping[str, pa.DataType]) -> str | None:
    """The only column called after an id, such as `customer_id`, if it is not one of members."""
    ids = [name for name in types if name.lower().endswith("_id")]
    return ids[0] if len(ids) == 1 and ids[0].lower()[:-3] not in (*MEMBER, *LABEL) else None


def _find_scores(
    path: Path, types: Mapping[str, pa.DataType], names: Names, member: str | None
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Gives the kind of scores, their columns, and names of classes."""
    if names.scores or names.votes:
        return _given(path, types, names)
    lists = [name for name in types if is_list(types[name]) and name.lower() in KINDS]
    for name in sorted(lists, key=lambda name: list(KINDS).index(name.lower())):
        return KINDS[name.lower()], (name,), ()
    families = (_family(types, prefix) for prefix in (*LOGITS, *PROBS, *UNNAMED))
    found = next(filter(None, families), []) or _numbers_alone(types)
    if found:
        key, scores, classes = found[0]
        return key, _complete(path, types, scores, classes), classes
    votes = [
        name for name in types if name.lower() in (*VOTES, *UNNAMED) and _is_class(types[name])
    ]
    if member and len(votes) == 1:
        return "votes", (votes[0],), ()
    single = [
        name for name in types if name.lower() in SINGLE and pa.types.is_floating(types[name])
    ]
    if len(single) == 1:
        return SINGLE[single[0].lower()], (single[0],), ()
    wide = _wide_votes(types) if member is None else ()
    if wide or len(votes) == 1:
        return "votes", wide or (votes[0],), ()
    wrong = next((name for name in types if name.lower() in SINGLE), None)
    hint = f"; '{wrong}' holds {types[wrong]}, no numbers or lists of them" if wrong else ""
    raise ValueError(
        f"{path}: needs columns member, sample, and logit0, logit1, ... or p0, p1, ..., has "
        f"{shorten(types)}{hint}; choose them with --scores 'prob_*' or --votes 'model_*'"
    )


def _given(
    path: Path, types: Mapping[str, pa.DataType], names: Names
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    pattern, option = (names.scores, "scores") if names.scores else (names.votes, "votes")
    found = [name for name in types if fnmatchcase(name, pattern)]
    if not found:
        raise ValueError(f"{path}: --{option} '{pattern}' fits no column, has {shorten(types)}")
    start = len(re.split(r"[*?\[]", pattern)[0] or _common_start(found))
    ends = [name[start:].lstrip("_. ") for name in found] if len(found) > 1 else []
    numbered = bool(ends) and all(end.isdecimal() for end in ends)
    if numbered:
        found = sorted(found, key=lambda name: int(re.search(r"\d+$", name).group()))
    if option == "votes":
        return "votes", tuple(found), ()
    prefix = re.split(r"[_\d*?\[]", pattern.lower())[0]
    return KINDS.get(prefix, "scores"), tuple(found), () if numbered else tuple(ends)


def _family(
    types: Mapping[str, pa.DataType], prefix: str
) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Finds columns of one prefix: numbered, or named after classes; none or one reading."""
    types = {name: types[name] for name in types if name[: len(prefix)].lower() == prefix}
    numbered = {
        int(match[1]): name
        for name in types
        if (match := re.fullmatch(rf"{prefix}[_.]?(\d+)", name, re.IGNORECASE))
    }
    if numbered:
        return [(KINDS[prefix], tuple(name for _, name in sorted(numbered.items())), ())]
    named = {
        match[1]: name
        for name in types
        if (match := re.fullmatch(rf"{prefix}_(\D.*)", name, re.IGNORECASE))
        and pa.types.is_floating(types[name])
    }
    return [(KINDS[prefix], tuple(named.values()), tuple(named))] if len(named) > 1 else []


def _numbers_alone(
    types: Mapping[str, pa.DataType],
) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Finds columns 0, 1, ..., as a DataFrame of an array has them, where there are no others."""
    scores = sorted((name for name in types if name.isdecimal()), key=int)
    others = [n for n in types if not n.isdecimal() and not re.fullmatch(ROW_NUMBER, n)]
    floats = all(pa.types.is_floating(types[name]) for name in scores)
    return [("scores", tuple(scores), ())] if len(scores) > 1 and floats and not others else []


def _complete(
    path: Path, types: Mapping[str, pa.DataType], scores: tuple[str, ...], classes: tuple[str, ...]
) -> tuple[str, ...]:
    """Checks that numbered columns are of classes 0, 1, ... without a hole, or of class 1 alone."""
    stem, number = re.fullmatch(r"(.*?)(\d*)", scores[0]).groups()
    if classes or (len(scores) == 1 and number == "1"):
        return scores
    if len(scores) == 1:
        raise ValueError(
            f"{path}: needs two classes, has the column '{scores[0]}' alone; the single output of "
            f"a binary classifier is '{stem}1'"
        )
    wanted = [f"{stem}{k}" for k in range(len(scores))]
    found = {*scores}
    lacks = [name for name in wanted if name not in found]
    if lacks:
        raise ValueError(
            f"{path}: needs one column '{lacks[0]}', has {shorten(types)}; classes count from 0"
        )
    return scores


def _wide_votes(types: Mapping[str, pa.DataType]) -> tuple[str, ...]:
    """Finds columns of class ids whose names differ in a number alone."""
    classes = [name for name in types if _is_class(types[name]) and name[-1:].isdecimal()]
    stems = [list(group) for _, group in groupby(classes, lambda name: name.rstrip("0123456789"))]
    found = [group for group in stems if len(group) > 1]
    return tuple(found[0]) if len(found) == 1 else ()


def is_list(kind: pa.DataType) -> bool:
    """Tells whether a column holds lists."""
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_class(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    strings = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    numbers = (pa.types.is_integer, pa.types.is_boolean)
    return any(is_kind(kind) for is_kind in (*strings, *numbers))


def _common_start(names: Sequence[str]) -> str:
    shortest, longest = min(names), max(names)
    same = (a == b for a, b in zip(shortest, longest, strict=False))
    length = next((i for i, equal in enumerate(same) if not equal), len(shortest))
    return re.sub(r"\d+$", "", shortest[:length])
