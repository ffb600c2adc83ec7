"""Parts of one member that the ranks of a distributed run wrote, joined."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor

from bvalign.predictions.scores.mapped import Rows
from bvalign.predictions.scores.scores import Scores

RANK = re.compile(r"(.*rank|predictions)_?(\d+)")
"""Names of such files; `predictions_0.pt` is the one in Lightning's documentation."""


def join_ranks(path: Path, parts: Mapping[str, Scores]) -> Scores | None:
    """Joins what ranks wrote, in the order in which DistributedSampler deals samples to them.

    Args:
        path: named in messages.
        parts: scores by name of file.

    Returns:
        The scores of the one member; None if these are members, by their names or as all have the
        same labels.

    Raises:
        ValueError: they may be members or ranks, or are ranks of which one has too many samples.
    """
    found = [RANK.fullmatch(name) for name in parts]
    if len(parts) < 2 or not all(found):
        return None
    world = len(parts)
    ranks = dict(zip((int(match[2]) for match in found), parts.values(), strict=True))
    if sorted(ranks) != list(range(world)):
        return None
    ordered = [ranks[rank] for rank in range(world)]
    labels = [part.labels for part in ordered]
    if any(values is None for values in labels):
        if not found[0][1].endswith("rank"):
            raise ValueError(
                f"{path}: {', '.join(parts)} may be members, or ranks of one member; name them "
                "seed0, seed1, ... or rank0, rank1, ..."
            )
    elif all(np.array_equal(values, labels[0]) for values in labels):
        return None
    return _join(path, ordered)


def _join(path: Path, ordered: list[Scores]) -> Scores:
    if any(part.kept is not None for part in ordered):
        raise ValueError(f"{path}: ranks with top-k logits are not joined; save one file of each")
    world = len(ordered)
    sizes = np.array([part.shape[1] for part in ordered])
    if sizes.max() > sizes.min() + 1 or (np.diff(sizes) > 0).any():
        raise ValueError(
            f"{path}: ranks of one member must have samples in turn, got {sizes.tolist()}; save "
            "their index, or one file"
        )
    row, rank = np.divmod(np.arange(sizes.sum()), world)

    def take(rows: Rows) -> Num[Tensor, "members rows ..."]:
        ranks, places = rank[rows], row[rows]
        scores = torch.stack([part.take(places.clip(max=part.shape[1] - 1)) for part in ordered])
        return scores[torch.from_numpy(ranks), :, torch.arange(len(ranks))].transpose(0, 1)

    def join(values: list[np.ndarray | None]) -> np.ndarray | None:
        if any(one is None for one in values):
            return None
        return np.array([values[r][p] for r, p in zip(rank, row, strict=True)])

    first = ordered[0]
    common = [name for name in first.groups if all(name in part.groups for part in ordered)]
    return replace(
        first,
        path=path,
        shape=(first.shape[0], int(sizes.sum()), *first.shape[2:]),
        take=take,
        labels=join([part.labels for part in ordered]),
        index=join([part.index for part in ordered]),
        groups={name: join([part.groups[name] for part in ordered]) for name in common},
        notes=(
            *first.notes,
            f"{world} ranks of one member are joined: row i of rank r is sample i * {world} + r",
        ),
    )
