"""Members that were read one by one, put together."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Num, Shaped
from torch import Tensor

from bvalign.predictions.scores.mapped import Rows
from bvalign.predictions.scores.names import group_columns, shorten
from bvalign.predictions.scores.scores import SHOWN, Scores
from bvalign.top_k import TopK, join_members


def stack_members(
    path: Path,
    parts: Mapping[str, Scores],
    shared: Mapping[str, np.ndarray],
    notes: tuple[str, ...] = (),
) -> Scores:
    """Puts the scores of members together.

    Args:
        path: named in messages.
        parts: scores of one member or more, by name.
        shared: labels, index, weights, clusters, groups, texts, ... that are true of all members.
        notes: remarks on the whole.

    Raises:
        ValueError: the members' shapes, kinds or samples differ.
    """
    _check_shapes(path, parts)
    parts = _with_same_classes(path, parts, shared)
    first = next(iter(parts.values()))
    takes = [part.take for part in parts.values()]
    dtypes = tuple(dtype for part in parts.values() for dtype in part.dtypes)
    mixed = len(set(dtypes)) > 1
    wide = torch.float32 if set(dtypes) <= {"float16", "bfloat16"} else torch.float64

    def take(rows: Rows) -> Num[Tensor, "members rows ..."]:
        scores = [one(rows) for one in takes]
        return torch.cat([s.to(wide) for s in scores] if mixed else scores)

    kept = _kept_of(path, parts)
    members, groups = _member_names(parts), group_columns(shared)
    names, labels = first.shown.get("class_names"), shared.get("labels")
    numbered = labels is not None and labels.dtype.kind != "U" and "class_names" not in shared
    if first.key == "votes" and names is not None and numbered:
        notes = (*notes, f"labels are numbers: classes 0, 1, ... are {shorten(names, 4)}")
    numbers = all(name.isdecimal() for name in members)
    told = [(f"{name}: {note}", note) for name, part in parts.items() for note in part.notes]
    common = {note for note in (n for _, n in told) if all(note in p.notes for p in parts.values())}
    said = [*dict.fromkeys(n for _, n in told if n in common)]
    return replace(
        first,
        path=path,
        shape=(len(members), *first.shape[1:]),
        dtypes=dtypes,
        take=take,
        kept=kept,
        labels=_join(path, "labels", shared.get("labels"), parts),
        index=_join(path, "index", shared.get("index"), parts),
        sample_names=_same(path, "sample_names", parts),
        num_options=shared.get("num_options", _same(path, "num_options", parts)),
        clusters=shared.get("clusters", first.clusters),
        groups={**first.groups, **{name: shared[key] for key, name in groups.items()}},
        weights=shared.get("weights"),
        members=np.array([int(n) for n in members] if numbers else members),
        notes=(*notes, *said, *(long for long, note in told if note not in common)),
        shown={**first.shown, **{n: v for n, v in shared.items() if n in SHOWN}},
    )


def _kept_of(path: Path, parts: Mapping[str, Scores]) -> Callable[[Rows], TopK] | None:
    """Top-k logits of all members; None where all have those of all classes.

    Raises:
        ValueError: some have fewer than others.
    """
    lacking = {n: part.kept and part.kept(slice(0, 1)).num_others for n, part in parts.items()}
    if len({*lacking.values()}) > 1:
        told = ", ".join(f"{name} lacks {number or 0}" for name, number in lacking.items())
        raise ValueError(f"{path}: all members must keep as many logits of a sample, but {told}")
    takes = [part.kept for part in parts.values()]
    if None in takes:
        return None

    return lambda rows: join_members([one(rows) for one in takes])


def _member_names(parts: Mapping[str, Scores]) -> list[str]:
    """Names members after their files, or as the files name them if no name is used twice."""
    own = [
        (name, str(member))
        for name, part in parts.items()
        for member in (range(part.shape[0]) if part.members is None else part.members)
    ]
    if all(part.members is None and part.shape[0] == 1 for part in parts.values()):
        return list(parts)
    members = [member for _, member in own]
    return members if len({*members}) == len(members) else [f"{n}/{member}" for n, member in own]


def _check_shapes(path: Path, parts: Mapping[str, Scores]) -> None:
    for part in parts.values():
        if len(part.shape) < 2:
            raise ValueError(
                f"{part.path}: a member must be scores (samples, classes) or votes (samples), got "
                "a single number"
            )
    (name, first), *_ = parts.items()
    for other, part in parts.items():
        if len({len(first.shape), len(part.shape)}) == 1 and part.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"{path}: all members must have the same samples and classes, but "
                f"{part.path.name if part.path != path else other} is {part.shape[1:]} and "
                f"{first.path.name if first.path != path else name} {first.shape[1:]}"
            )
    if len({part.key for part in parts.values()}) > 1:
        kinds = ", ".join(
            f"{n}: {'unnamed' if p.key == 'scores' else p.key}" for n, p in parts.items()
        )
        raise ValueError(f"{path}: all members must have one kind of scores, got {kinds}")


def _with_same_classes(
    path: Path, parts: Mapping[str, Scores], shared: Mapping[str, np.ndarray]
) -> Mapping[str, Scores]:
    """Numbers votes that were names of classes alike in all members.

    Raises:
        ValueError: members have other classes, or in another order.
    """
    own = {n: part.shown["class_names"] for n, part in parts.items() if "class_names" in part.shown}
    wanted = shared.get("class_names", next(iter(own.values()), None))
    if all(np.array_equal(classes, wanted) for classes in own.values()):
        return parts
    labels = [shared.get("labels"), *(part.labels for part in parts.values())]
    numbers = any(values is not None and values.dtype.kind != "U" for values in labels)
    if numbers or len(own) < len(parts) or {part.key for part in parts.values()} != {"votes"}:
        raise ValueError(
            f"{path}: all members must have the same classes in one order, but their class_names "
            "differ; save class ids, or columns in one order"
        )
    if "class_names" not in shared:
        wanted = np.unique(np.concatenate(list(own.values())))
    place = {name: number for number, name in enumerate(wanted.tolist())}

    def renumbered(part: Scores) -> Scores:
        to = [place.get(name, -1) for name in part.shown["class_names"].tolist()]
        to = torch.tensor([*to, -1])  # -1 stays
        shown = {**part.shown, "class_names": wanted}
        return replace(part, take=lambda rows: to[part.take(rows).long()], shown=shown)

    return {name: renumbered(part) for name, part in parts.items()}


def _same(path: Path, key: str, parts: Mapping[str, Scores]) -> np.ndarray | None:
    """Gives what must be equal for all members."""
    (name, first), *rest = ((name, getattr(part, key)) for name, part in parts.items())
    for other, values in rest:
        if not np.array_equal(values, first):
            raise ValueError(
                f"{path}: all members must have the same samples, but '{key}' of {other} and "
                f"{name} differ"
            )
    return first


def _join(
    path: Path, key: str, shared: np.ndarray | None, parts: Mapping[str, Scores]
) -> Shaped[np.ndarray, "..."] | None:
    """Gives the shared array (samples), or (members, samples) where members bring theirs."""
    own = {name: _of_samples(getattr(part, key), part.shape) for name, part in parts.items()}
    if all(values is None for values in own.values()):
        return shared
    if shared is None and any(values is None for values in own.values()):
        missing = next(name for name, values in own.items() if values is None)
        raise ValueError(f"{path}: some members have '{key}', but {missing} does not")
    rows = {name: shared if values is None else values for name, values in own.items()}
    first = next(iter(rows.values()))
    reference = first if shared is None else shared
    for name, values in rows.items():
        if values.shape != reference.shape:
            raise ValueError(
                f"{path}: '{key}' of member {name} must be {reference.shape}, got {values.shape}"
            )
    different = int((first != reference).sum())
    if different and all(np.array_equal(values, first) for values in rows.values()):
        raise ValueError(
            f"{path}: {key}.npy differs from the members' own '{key}' at {different} rows"
        )
    if all(np.array_equal(values, first) for values in rows.values()):
        return first
    if reference.ndim > 1:
        other = next(name for name, values in rows.items() if not np.array_equal(values, first))
        raise ValueError(
            f"{path}: all members must have the same samples, but '{key}' of {other} and "
            f"{next(iter(rows))} differ"
        )
    counts = [part.shape[0] for part in parts.values()]
    return np.repeat(np.stack(list(rows.values())), counts, axis=0)


def _of_samples(values: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Gives what all members of one part have in common (samples), where they agree."""
    if values is None or values.ndim < 2 or values.shape != shape[:2]:
        return values
    return values[0] if (values == values[0]).all() else values
