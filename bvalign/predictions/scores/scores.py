"""Scores as any file contains them, with what belongs to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int, Num
from torch import Tensor

from bvalign.predictions.predictions import samples_per_range
from bvalign.predictions.scores.mapped import Rows
from bvalign.top_k import TopK

SHOWN = ("images", "texts", "class_names")
"""Arrays that only the report uses."""


@dataclass(frozen=True)
class Scores:
    """Logits, probabilities or votes of all members; the reader has checked no values yet.

    Attributes:
        path: named in messages.
        key: logits, probs or votes; scores if the values must tell logits from probabilities.
        shape: (members, samples, classes), with one class for the single output of a binary
            classifier; of votes (members, samples).
        dtypes: names of the members' number types.
        take: rows of the file -> scores of all members.
        labels: class ids (samples), or (members, samples) where each member has its own; None
            without labels.
        index: rows of the data set, shaped like labels; None for 0, 1, ...
        members: ids or names; None for 0, 1, ...
        weights: member weights (members); None where all members count once.
        clusters: names or numbers of clusters (samples); None if the file has none.
        groups: column -> names or numbers of groups (samples); empty cells are "" or NaN.
        num_options: how many classes each sample has (samples), the first ones; None where all have
            K. Scores of the others are -inf, probabilities 0.
        notes: remarks of the reader.
        sample_names: names of samples that have no number in index (samples).
        shown: images, texts and class names, as far as there are any.
        num_classes: of votes, where there are more classes than occur.
        task: chosen by the user and read; None where the files do not have several.
        soft_labels: distributions (samples, classes), once found among the labels.
        answers: behind each of them (samples), where the labels are counts.
        unlabelled: the samples without a label, once found among others.
        kept: rows of the file -> the logits that are kept, which `take` completes; None where those
            of all classes are.
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
    sample_names: np.ndarray | None = None
    num_options: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    shown: Mapping[str, np.ndarray] = field(default_factory=dict)
    task: str | None = None
    num_classes: int = 0

    def blocks(self) -> list[slice]:
        """Ranges of samples that are read at a time."""
        num_members, num_samples, *classes = self.shape
        step = samples_per_range(num_members, *(classes or [1]))
        return [slice(i, min(i + step, num_samples)) for i in range(0, num_samples, step)]

    soft_labels: np.ndarray | None = None
    answers: np.ndarray | None = None
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    unlabelled: "Scores | None" = None
    kept: Callable[[Rows], TopK] | None = None

    def of_samples(self, rows: Int[np.ndarray, " rows"]) -> "Scores":
        """The scores and what belongs to them of some rows of the file."""
        index = np.arange(self.shape[1]) if self.index is None else self.index
        labels, index, clusters, sample_names, num_options = (
            None if values is None else values[..., rows]
            for values in (self.labels, index, self.clusters, self.sample_names, self.num_options)
        )
        return replace(
            self,
            shape=(self.shape[0], len(rows), *self.shape[2:]),
            take=lambda wanted: self.take(rows[wanted]),
            kept=self.kept and (lambda wanted: self.kept(rows[wanted])),
            labels=labels,
            index=index,
            clusters=clusters,
            groups={name: values[rows] for name, values in self.groups.items()},
            sample_names=sample_names,
            num_options=num_options,
            shown={n: v if n == "class_names" else v[rows] for n, v in self.shown.items()},
        )
