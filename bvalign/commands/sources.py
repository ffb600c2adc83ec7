"""Labelled predictions that are given beside a target, for the question "Risk without labels"."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from bvalign.analysis.collect import draw_positions
from bvalign.analysis.given import KEPT_NUMBERS, Kept
from bvalign.decisions import Options
from bvalign.decisions.without_labels import Source
from bvalign.predictions import Names, Predictions, file_name, open_predictions

OWN = "the labelled part of these samples"
FEW = 5
"""Members below which the reader is told how few they are."""


def with_sources(options: Options, target: Predictions, sources: object, names: Names) -> Options:
    """Adds the labelled predictions to what is asked.

    Args:
        options: what is asked beside.
        target: predictions that the analysis is of; where some of their samples have no label, the
            others are the first source.
        sources: a path, opened predictions or anything else that `open_predictions` reads; or
            several, in a list, or a dict by name; None or empty for none.
        names: of columns or arrays of paths, where they cannot be guessed.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: a source has no labels, or does not fit the target; the message says why.
    """
    opened = []
    if target.unlabelled is not None:
        opened.append((OWN, replace(target, unlabelled=None)))
        target = target.unlabelled
    for name, source in _named(sources):
        is_open = isinstance(source, Predictions)
        opened.append((name, source if is_open else open_predictions(source, names=names)[0]))
    for name, source in opened:
        _check_classes(name, source, target)
    if not opened:
        return options
    common = _common_members(opened, target)
    return replace(options, sources=tuple(_read(*one, target, common) for one in opened))


def _named(sources: object) -> list[tuple[str, object]]:
    """Gives each source a name."""
    if sources is None:
        return []
    if isinstance(sources, Mapping):
        return [(str(name), source) for name, source in sources.items()]
    several = sources if isinstance(sources, list | tuple) else [sources]
    return [
        (file_name(Path(s).name) if isinstance(s, Path | str) else f"source {number}", s)
        for number, s in enumerate(several, 1)
    ]


def _check_classes(name: str, source: Predictions, target: Predictions) -> None:
    if source.target is None:
        raise ValueError(
            f"{name}: a source needs labels, but has none; a target without labels comes first, as "
            "in `bvalign analyze TARGET --source LABELLED`"
        )
    if source.soft_labels is not None:
        raise ValueError(
            f"{name}: labels of a source must be one class a sample, got soft labels; give "
            "labels.argmax(-1)"
        )
    ours, theirs = source.class_names, target.class_names
    if ours and theirs and ours != theirs:
        if sorted(ours) == sorted(theirs):
            raise ValueError(
                f"{name}: the classes are those of the target in another order, {_few(ours)} "
                f"instead of {_few(theirs)}; reorder scores and labels"
            )
        other = sorted(set(ours) ^ set(theirs))
        raise ValueError(
            f"{name}: source and target must have the same classes, but {_few(other)} are in one "
            "of them alone"
        )
    voted = _are_votes(source) and _are_votes(target)
    if source.num_classes != target.num_classes and not voted:
        raise ValueError(
            f"{name}: source and target must have the same classes, got {source.num_classes} and "
            f"{target.num_classes}"
        )


def _common_members(
    sources: Sequence[tuple[str, Predictions]], target: Predictions
) -> tuple[int | str, ...]:
    """Members that target and sources share by name, in the order of the target."""
    common = target.members
    for name, source in sources:
        if source.members == target.members:
            continue
        if _unnamed(source) or _unnamed(target):
            raise ValueError(
                f"{name}: the source has {len(source.members)} members and the target "
                f"{len(target.members)}, without names to tell which are the same; give `members`"
            )
        common = tuple(member for member in common if member in source.members)
        if not common:
            raise ValueError(
                f"{name}: source and target share no member, {_few(source.members)} and "
                f"{_few(target.members)}"
            )
    return common


def _unnamed(predictions: Predictions) -> bool:
    return predictions.members == tuple(range(len(predictions.members)))


def _read(
    name: str, source: Predictions, target: Predictions, common: tuple[int | str, ...]
) -> Source:
    """Reads the logits of the common members, of at most as many samples as an analysis keeps."""
    number, rows = len(common), [source.members.index(member) for member in common]
    most = KEPT_NUMBERS // (number * source.num_classes)
    positions = draw_positions(source.num_samples, most)
    parts, start = [], 0
    for logits, _ in source.ranges():
        stop = start + logits.shape[1]
        here = positions[(positions >= start) & (positions < stop)] - start
        parts.append(logits[rows][:, here])
        start = stop
    logits = torch.cat(parts, dim=1)
    labels, clusters = (
        None if ids is None else torch.from_numpy(ids)[positions]
        for ids in (source.target, source.clusters)
    )
    kept = Kept(positions, logits, labels, clusters)
    members = None if common == target.members else [target.members.index(m) for m in common]
    return Source(name, kept, members, tuple(_notes(source, target, common, own=name == OWN)))


def _notes(
    source: Predictions, target: Predictions, common: tuple[int | str, ...], *, own: bool
) -> list[str]:
    notes = [f"About the {target.num_samples} samples that have no label"] if own else []
    if len(common) < max(len(source.members), len(target.members)):
        notes.append(f"Of the {len(common)} members that source and target share by name")
    if len(common) == 1:
        notes.append("One member has nobody to disagree with, so its confidence alone is used")
    elif len(common) < FEW:
        notes.append(f"{len(common)} members are few: what they disagree on is a rough measure")
    return notes


def _are_votes(predictions: Predictions) -> bool:
    """Whether each member gives one class everything."""
    first = predictions.read(0, min(predictions.num_samples, predictions.samples_per_range))
    return bool((first.isfinite().sum(dim=-1) == 1).all())


def _few(names: Sequence[object]) -> str:
    return ", ".join(map(str, names[:4])) + (", ..." if len(names) > 4 else "")
