"""Scores as any file contains them, with what belongs to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int, Num
from torch import Tensor

from bvalign.predictions.readers.mapped import Rows

KEYS = ("logits", "probs", "votes")
PROBABILITY_TOLERANCE = 1e-3
"""How far probabilities may be from summing to one: float16 softmax over 1000 classes is within."""

ROWS_SUMMED = 1000
"""First samples whose sums over classes tell probabilities from logits."""


@dataclass(frozen=True)
class Scores:
    """Logits, probabilities or votes of all members; the reader has checked no values yet.

    Attributes:
        path: named in messages.
        key: logits, probs or votes.
        shape: (members, samples, classes); of votes (members, samples).
        dtypes: names of the members' number types.
        take: rows of the file -> scores of all members.
        labels: class ids (samples), or (members, samples) where each member has its own; None
            without labels.
        index: rows of the data set, shaped like labels; None for 0, 1, ...
        members: ids or names; None for 0, 1, ...
        weights: member weights (members); None where all members count once.
        clusters: names or numbers of clusters (samples); None if the file has none.
        notes: remarks of the reader.
        shown: images, texts and class names, as far as there are any.
        soft_labels: distributions (samples, classes), once found among the labels.
        answers: behind each of them (samples), where the labels are counts.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtypes: tuple[str, ...]
    take: Callable[[Rows], Num[Tensor, "members rows ..."]]
    labels: np.ndarray | None = None
    index: np.ndarray | None = None
    members: np.ndarray | None = None
    weights: np.ndarray | None = None
    clusters: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    shown: Mapping[str, np.ndarray] = field(default_factory=dict)
    soft_labels: np.ndarray | None = None
    answers: np.ndarray | None = None

    def of_samples(self, rows: Int[np.ndarray, " rows"]) -> "Scores":
        """The scores and what belongs to them of some rows of the file."""
        index = np.arange(self.shape[1]) if self.index is None else self.index
        labels, index, clusters = (
            None if values is None else values[..., rows]
            for values in (self.labels, index, self.clusters)
        )
        return replace(
            self,
            shape=(self.shape[0], len(rows), *self.shape[2:]),
            take=lambda wanted: self.take(rows[wanted]),
            labels=labels,
            index=index,
            clusters=clusters,
            shown={n: v if n == "class_names" else v[rows] for n, v in self.shown.items()},
        )
