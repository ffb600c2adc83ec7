"""Predictions on disk: training writes them, the analysis reads them."""

import os
from dataclasses import replace
from pathlib import Path
from typing import get_args

from bvalign.predictions.checks.checks import to_predictions
from bvalign.predictions.checks.clusters import with_clusters
from bvalign.predictions.checks.groups import with_groups
from bvalign.predictions.checks.strings import file_name
from bvalign.predictions.damage import check_exists
from bvalign.predictions.predictions import Groups, Predictions
from bvalign.predictions.readers import open_memory, open_scores, open_url
from bvalign.predictions.run import FinishedMember, MemberState, RunDirectory, Split
from bvalign.predictions.scores.names import Names
from bvalign.predictions.source_files import source_files

__all__ = [
    "FinishedMember",
    "Groups",
    "MemberState",
    "Names",
    "Predictions",
    "RunDirectory",
    "file_name",
    "open_predictions",
    "source_files",
]


def open_predictions(
    source: object,
    labels: object = None,
    *,
    clusters: Path | str | None = None,
    groups: object = None,
    names: Names | None = None,
) -> tuple[Predictions, dict[str, object]]:
    """Opens predictions; the logits are read later, block by block.

    Args:
        source: a run directory, a folder with a file or folder per member, a file of any format in
            docs/predictions.md, or the URL of a Zarr group (`s3://...`); or, in memory, arrays,
            tables or members, as `bvalign.analyze` describes them.
        labels: of the samples, beside a source in memory that does not contain them.
        clusters: file with the cluster of each sample, where `source` does not contain it: a
            `.npy` (samples) in the order of the rows of `source`, or a `.csv` with columns index
            and cluster.
        groups: subgroups of the samples to compare, beside those that `source` contains: a file
            such as that of clusters, with any columns of names or numbers; one column as an array,
            a list or a Series (samples), in the order of the rows of `source`; or a dict or
            DataFrame of columns, perhaps with one `index` or `sample`.
        names: of columns or arrays, where they cannot be guessed, and the split of a run directory:
            of its training samples, those that some members have not seen are opened.

    Returns:
        The predictions, and where they come from: the contents of run.json, or for anything but a
        run directory the name of the source, its format, and a sentence on what was read.

    Raises:
        FileNotFoundError: there is no file of that name.
        ValueError: it is damaged, or does not contain predictions, or labels, clusters or groups
            do not fit.
    """
    names = names or Names()
    clusters = None if clusters is None else Path(os.path.expanduser(clusters))  # noqa: PTH111
    if isinstance(groups, Path | str):
        groups = Path(os.path.expanduser(groups))  # noqa: PTH111
    if not isinstance(source, Path | str):
        scores, format = open_memory(source, labels, names), "memory"
    elif labels is not None:
        raise ValueError(
            f"{source}: labels belong in the file, or in labels.npy of the folder; those given "
            "beside a path are not read"
        )
    elif isinstance(source, str) and "://" in source:
        scores, format = open_url(source, names)
    else:
        source = Path(os.path.expanduser(source))  # noqa: PTH111 (works without a home)
        check_exists(source)
        if (source / "run.json").exists():
            predictions, origin = _of_run(source, names)
            predictions = with_clusters(predictions, clusters) if clusters else predictions
            return predictions if groups is None else with_groups(predictions, groups), origin
        scores, format = open_scores(source, names)
    if names.split is not None:
        raise ValueError(f"{scores.path}: only a run directory has a split {names.split}")
    predictions = to_predictions(scores, clusters, groups, names.task)
    origin = {"source": file_name(scores.path.name), "format": format, "read": _what(predictions)}
    return predictions, origin


def _of_run(source: Path, names: Names) -> tuple[Predictions, dict[str, object]]:
    split = names.split or "test"
    if replace(names, split=None) != Names():
        raise ValueError(f"{source}: a run directory has no columns or arrays to choose")
    if split not in get_args(Split):
        raise ValueError(f"{source}: split must be test or train, got {split}")
    run = RunDirectory(source)
    # how often a report was written is not how the predictions were made
    origin = {key: value for key, value in run.info.items() if key != "report"}
    return run.predictions(split), origin | ({"split": split} if split != "test" else {})


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
