"""Predictions of finished members, read from their files block by block."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bvalign.predictions.predictions import Predictions
from bvalign.predictions.run.member import MemberFolder
from bvalign.predictions.run.samples import read_samples
from bvalign.predictions.run.unseen import Judges, choose_judges
from bvalign.predictions.scores.shards import Sharded
from bvalign.predictions.scores.top_k import TopScores
from bvalign.top_k import TopK, join_members


def of_test_samples(
    folders: Sequence[MemberFolder], samples: Path, notes: Sequence[str]
) -> Predictions:
    """Opens the predictions of members on the test samples.

    Args:
        folders: of finished members.
        samples: file of the samples.
        notes: on the members.
    """
    stored = read_samples(samples)
    slices = _opened(folders, "test", (len(stored["target"]), len(stored["class_names"])))
    return Predictions(
        read=lambda start, stop: torch.cat([part.take(slice(start, stop)) for part in slices]),
        members=tuple(folder.member for folder in folders),
        num_classes=slices[0].shape[2],
        kept=_kept(slices),
        source=str(samples.parent),
        **_shown(stored, notes),
    )


def of_training_samples(
    folders: Sequence[MemberFolder],
    samples: Path,
    notes: Sequence[str],
    identity: Mapping[str, object],
) -> Predictions:
    """Opens the predictions on training samples of members that have not seen them.

    They come as those of judges, see `unseen.py`.

    Args:
        folders: of finished members.
        samples: file of the samples.
        notes: on the members.
        identity: of the run.

    Raises:
        ValueError: no member has predictions on the training samples, or all have seen all.
    """
    having = [folder for folder in folders if folder.has_train()]
    if not having:
        raise ValueError(
            f"{samples.parent}: no predictions on the training samples are stored; `bvalign fit` "
            "with --predictions.train=true adds them to finished members without training them "
            "again"
        )
    stored = read_samples(samples)
    seen = torch.stack([folder.seen() for folder in having]).numpy()
    ids = np.array([folder.member for folder in having])
    kind = identity.get("model.randomness.bootstrap", "off")
    judges = choose_judges(seen, ids, kind, identity.get("model.randomness.folds", 1))
    rows, members, num_unseen = judges
    slices = _opened(having, "train", (len(stored["target"]), len(stored["class_names"])))

    kept = _kept(slices)

    def places(start: int, stop: int) -> tuple[int, int, tuple[Tensor, Tensor]]:
        here = rows[start:stop]
        first, last = int(here[0]), int(here[-1]) + 1
        at = torch.from_numpy(here - first)
        return first, last, (torch.from_numpy(members[:, start:stop]), at)

    def read(start: int, stop: int) -> Float[Tensor, "judges block classes"]:
        first, last, judging = places(start, stop)
        return torch.cat([part.take(slice(first, last)) for part in slices])[judging]

    def kept_of_judges(start: int, stop: int) -> TopK:
        first, last, judging = places(start, stop)
        top = kept(first, last)
        return TopK(*(values[judging] for values in top[:3]), top.num_classes)

    notes = [*_notes(judges, seen), *notes]
    if bare := [folder.member for folder in folders if folder not in having]:
        notes.append(f"without predictions on the training samples: members {bare}")
    return Predictions(
        read=read,
        members=tuple(range(len(members))),
        num_classes=slices[0].shape[2],
        kept=kept and kept_of_judges,
        num_unseen=num_unseen,
        source=str(samples.parent),
        **_shown(stored, notes, rows),
    )


def _opened(
    folders: Sequence[MemberFolder], split: Literal["test", "train"], shape: tuple[int, int]
) -> list[Sharded | TopScores]:
    """Opens the logits of members on a split, each (1, samples, classes).

    Raises:
        ValueError: those of a member have another shape.
    """
    parts = [folder.open_logits(split) for folder in folders]
    for folder, part in zip(folders, parts, strict=True):
        if tuple(part.shape) != (1, *shape):
            raise ValueError(
                f"{folder.path}: logits of shape {tuple(part.shape[1:])} on {split} samples, but "
                f"the run has (samples, classes) = {shape}; remove the folder, and `bvalign fit` "
                "trains the member again"
            )
    return parts


def _kept(parts: Sequence[Sharded | TopScores]) -> Callable[[int, int], TopK] | None:
    """Reads the logits that members keep, where they do not keep all."""
    tops = [part for part in parts if isinstance(part, TopScores)]
    if not tops:
        return None
    return lambda start, stop: join_members([top.kept(slice(start, stop)) for top in tops])


def _shown(
    stored: Mapping[str, np.ndarray],
    notes: Sequence[str],
    rows: Int64[np.ndarray, " rows"] | slice = slice(None),
) -> dict[str, object]:
    """Fields of `Predictions` about samples, of these rows of their file."""
    images, texts = stored.get("images"), stored.get("texts")
    return {
        "target": stored["target"][rows],
        "index": stored["index"][rows],
        "class_names": tuple(stored["class_names"].tolist()),
        "images": None if images is None else images[rows],
        "notes": (*stored["notes"].tolist(), *notes),
        "texts": None if texts is None else tuple(texts[rows].tolist()),
    }


def _notes(judges: Judges, seen: Bool[np.ndarray, "members samples"]) -> Iterator[str]:
    """What a member is here, and which samples are missing."""
    (number, kept), (num_members, num_samples) = judges.members.shape, seen.shape
    fewest, most = judges.num_unseen.min(), judges.num_unseen.max()
    unseen = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    yield (
        f"samples and labels are those of training: of {num_members} members, {unseen} have not "
        f"seen a sample, and {number} of these judge it; the members of this report are its first "
        "judge, its second, and so on"
    )
    if number == 1:
        yield "one judge has no variance: train more members of the same run"
    if kept < num_samples:
        by_all = int(seen.all(axis=0).sum())
        yield (
            f"{num_samples - kept} of {num_samples} training samples are left out: {by_all} are "
            f"seen by all members, {num_samples - kept - by_all} by all but fewer than {number}"
        )
