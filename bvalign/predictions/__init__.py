"""Predictions on disk: training writes them, the analysis reads them."""

import os
from pathlib import Path
from typing import get_args

from bvalign.predictions.checks.checks import to_predictions
from bvalign.predictions.checks.clusters import with_clusters
from bvalign.predictions.checks.strings import file_name
from bvalign.predictions.predictions import Predictions
from bvalign.predictions.readers import open_memory, open_scores
from bvalign.predictions.run import FinishedMember, MemberState, RunDirectory, Split
from bvalign.predictions.scores.names import Names

__all__ = [
    "FinishedMember",
    "MemberState",
    "Names",
    "Predictions",
    "RunDirectory",
    "file_name",
    "open_predictions",
]


def open_predictions(
    source: object,
    labels: object = None,
    *,
    clusters: Path | str | None = None,
    names: Names | None = None,
    split: str = "test",
) -> tuple[Predictions, dict[str, object]]:
    """Opens predictions; the logits are read later, block by block.

    Args:
        source: a run directory, a folder with a file or folder per member, or a file of any format
            in docs/predictions.md; or, in memory, arrays, tables or members, as `bvalign.analyze`
            describes them.
        labels: of the samples, beside a source in memory that does not contain them.
        clusters: file with the cluster of each sample, where `source` does not contain it: a
            `.npy` (samples) in the order of the rows of `source`, or a `.csv` with columns index
            and cluster.
        names: of columns or arrays, where they cannot be guessed.
        split: `test`, or `train`, which opens those on the training samples of a run directory, of
            members that have not seen the sample.

    Returns:
        The predictions, and where they come from: the contents of run.json, or for anything but a
        run directory the name of the source, its format, and a sentence on what was read.

    Raises:
        FileNotFoundError: there is no file of that name.
        ValueError: it is damaged, or does not contain predictions, or labels or clusters do not
            fit.
    """
    if split not in get_args(Split):
        raise ValueError(f"split must be test or train, got {split}")
    names = names or Names()
    clusters = None if clusters is None else Path(os.path.expanduser(clusters))  # noqa: PTH111
    if not isinstance(source, Path | str):
        scores, format = open_memory(source, labels, names), "memory"
    else:
        source = Path(os.path.expanduser(source))  # noqa: PTH111 (works without a home)
        if not source.exists():
            raise FileNotFoundError(f"{source}: there is no such file")
        if labels is not None:
            raise ValueError(
                f"{source}: labels belong in the file, or in labels.npy of the folder; those given "
                "beside a path are not read"
            )
        if (source / "run.json").exists():
            if names != Names():
                raise ValueError(f"{source}: a run directory has no columns or arrays to choose")
            run = RunDirectory(source)
            predictions, origin = run.predictions(split), run.info
            if split == "train":
                origin = origin | {"split": split}
            return with_clusters(predictions, clusters) if clusters else predictions, origin
        scores, format = open_scores(source, names)
    if split != "test":
        raise ValueError(f"{scores.path}: only a run directory has a split {split}")
    predictions = to_predictions(scores, clusters, names.task)
    origin = {"source": file_name(scores.path.name), "format": format, "read": _what(predictions)}
    return predictions, origin


def _what(predictions: Predictions) -> str:
    counts = {
        "member": len(predictions.members),
        "sample": predictions.num_samples,
        "class": predictions.num_classes,
    }
    said = [
        f"{n} {what}{('es' if what == 'class' else 's') if n != 1 else ''}"
        for what, n in counts.items()
    ]
    return f"{', '.join(said)}, {'with' if predictions.target is not None else 'without'} labels"
