"""Predictions of a folder: a file or a subfolder for each member, in any format, read in blocks.

    labels.npy, .txt       class ids (samples), optional
    index.npy              rows of the data set (samples), optional
    weights.npy            how often each member counts (members, in order of name), optional
    clusters.npy           the cluster of each sample, integers or strings (samples), optional
    groups.npy             subgroups to compare (samples), optional; any number of group_NAME.npy
    images.npy             uint8 (samples, channels, height, width), optional, for the report
    texts.npy, .txt        strings (samples), optional; class_names (classes)
    seed0.npy              scores (samples, classes), or integer votes (samples), of member seed0
    seed0.labels.npy       what member seed0 was evaluated on, optional; compared between members
    seed0.index.npy        the same for its index
    seed1.csv              any other format, with what belongs to the member
    3/logits.npy           the same in a folder for each run

Instead of members, a folder may hold `logits.npy`, `probs.npy` or `votes.npy` of all of them, the
arrays of top-k logits, see `scores/top_k.py`, or `manifest.json` and the files that it names, see
`manifest.py`. Ids are numbers if all names are.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bvalign.predictions.checks.strings import file_name
from bvalign.predictions.damage import check_file
from bvalign.predictions.readers.formats import COMPRESSED, READ, find_reader
from bvalign.predictions.readers.ranks import join_ranks
from bvalign.predictions.scores.arrays import scores_of_arrays
from bvalign.predictions.scores.held import Array, held
from bvalign.predictions.scores.manifest import MANIFEST, read_manifest
from bvalign.predictions.scores.mapped import open_npy
from bvalign.predictions.scores.names import (
    KINDS,
    LABEL,
    Names,
    find_name,
    group_columns,
    shorten,
)
from bvalign.predictions.scores.numbers import as_numbers
from bvalign.predictions.scores.scores import SHOWN, Scores
from bvalign.predictions.scores.shards import open_shards
from bvalign.predictions.scores.stack import stack_members
from bvalign.predictions.scores.top_k import TOP

SHARED = (*LABEL, "index", "weights", "clusters", "num_options", *SHOWN)
"""Names of files that belong to all members."""

OWN = (".labels", ".index")
"""Ends of names of files that belong to one member, as in seed0.labels.npy."""

INDICES = "batch_indices"
"""Begin of names under which Lightning's documentation keeps the order of samples of a rank."""

ARRAYS, TABLES = ("npz", "npy", "safetensors", "torch", "zarr"), ("csv", "parquet", "jsonl")
"""Formats of members. Where there are arrays, a table beside them is no member."""

OF_REPORT = {"summary.json", "samples.csv", "samples.parquet"}
"""Files of a report that have the ending of predictions."""


def open_folder(folder: Path, names: Names) -> Scores:
    """Opens the scores of a folder.

    Raises:
        ValueError: it holds no predictions, a file is damaged, or the members differ in shape.
    """
    files = sorted(file for file in folder.iterdir() if not file.name.startswith((".", "_")))
    of_all = [file for file in files if _is_shared(file) and file.is_file()]
    shared = {f.stem.lower(): _open_shared(f) for f in of_all if f.suffix in (".npy", ".txt")}
    sharded = _sharded(folder)
    named = sharded or {file.stem: _open_shared(file) for file in files if _is_named_array(file)}
    unread = [file for file in of_all if file.suffix not in (".npy", ".txt")]
    if named:
        if sharded:
            files = [f for f in files if f.name != MANIFEST and f.suffix != ".safetensors"]
        others = [f for f in files if find_reader(f) and f not in of_all and f.stem not in named]
        scores = scores_of_arrays(folder, named | shared, names)
        return replace(scores, notes=(*scores.notes, *_not_used([*others, *unread])))
    rest = [file for file in files if file not in of_all and not file.stem.endswith(OWN)]
    members = _members(rest)
    if (folder / "report.html").exists() and {file.name for file in members} <= OF_REPORT:
        raise ValueError(
            f"{folder}: holds a report, not predictions; give the predictions it was made of: "
            f"`bvalign analyze PREDICTIONS --out {folder}` writes it again"
        )
    if not members:
        raise ValueError(
            f"{folder}: no run.json, so no run of bvalign; a folder of predictions needs a file "
            f"({READ}) or a folder for each member, has {shorten([file.name for file in rest])}"
        )
    given = names.label if names.label in shared else None
    one = replace(names, one_member=True, label=None if given else names.label)
    stems = [file_name(_plain(file).stem) for file in members]
    twice = [file.name for file, stem in zip(members, stems, strict=True) if stems.count(stem) > 1]
    if twice:
        raise ValueError(f"{folder}: {shorten(twice)} are of one name; rename or remove one")
    parts = {stem: _open_member(f, one) for stem, f in zip(stems, members, strict=True)}
    label = find_name(folder, "label", LABEL, [n for n in shared if n in LABEL], given)
    arrays = {name: array.load() for name, array in shared.items() if name not in LABEL}
    notes = []
    if label:
        arrays["labels"] = shared[label].load()
        notes += [f"labels are read from '{label}'"] if label != "labels" else []
    notes += _not_used([*unread, *(file for file in rest if file not in members)])
    joined = join_ranks(folder, parts)
    if joined is None:
        return stack_members(folder, parts, arrays, tuple(notes))
    labels = arrays.get("labels") if joined.labels is None else joined.labels
    return replace(joined, labels=labels, notes=(*notes, *joined.notes))


def _sharded(folder: Path) -> dict[str, Array]:
    """Opens the files that a manifest names as one array; nothing if there is no manifest."""
    if not (folder / MANIFEST).exists():
        return {}
    manifest = read_manifest(folder / MANIFEST)
    name, scores = open_shards(manifest)
    return {name: scores, "members": held(np.array(manifest.members))}


def _plain(file: Path) -> Path:
    return file.with_suffix("") if file.suffix.lower() in COMPRESSED else file


def _not_used(files: Sequence[Path]) -> list[str]:
    """Notes files that are left, and what labels and the like need to be read."""
    if not files:
        return []
    hint = "; save labels and the like as .npy" if any(map(_is_shared, files)) else ""
    return [f"not used: {shorten([file.name for file in files])}{hint}"]


def _members(files: Sequence[Path]) -> list[Path]:
    """Chooses the files or folders of members, sorted by number if all names are numbers."""
    reader = {f: find_reader(f) for f in files if not f.stem.startswith(INDICES)}

    def of(group: Sequence[str]) -> list[Path]:
        return [file for file, found in reader.items() if found and found.name in group]

    runs = [file for file in files if file.is_dir() and _predictions_in(file)]
    found = of(ARRAYS) or of(TABLES) or runs or of(("json",))
    numbers = all(file.stem.isdecimal() for file in found)
    return sorted(found, key=lambda file: int(file.stem) if numbers else file.name)


def _open_member(file: Path, names: Names) -> Scores:
    """Opens a file, or the one that a folder holds."""
    if (file / MANIFEST).exists():
        return open_folder(file, names)
    if file.is_dir() and not find_reader(file):
        inside = _predictions_in(file)
        if len(inside) > 1:
            return open_folder(file, names)
        file = inside[0]
        if _is_named_array(file):
            return open_folder(file.parent, names)
    if not file.is_dir():  # some formats are folders
        check_file(file)
    return find_reader(file).open(file, names)


def _predictions_in(folder: Path) -> list[Path]:
    """Files of a run's folder that are its predictions, the likely ones if there are several."""
    files = [f for f in sorted(folder.iterdir()) if find_reader(f) and not _is_shared(f)]
    likely = [f for f in files if f.stem.lower() in KINDS or "pred" in f.stem.lower()]
    return likely or files


def _is_shared(file: Path) -> bool:
    return file.stem.lower() in SHARED or bool(group_columns([file.stem]))


def _is_named_array(file: Path) -> bool:
    return file.suffix == ".npy" and file.stem.lower() in (*KINDS, *TOP)


def _open_shared(file: Path) -> Array:
    """Opens an array, or the lines of a text: numbers if all are, but for texts and names."""
    check_file(file)
    if file.suffix == ".npy":
        return open_npy(file)
    text = file.read_text(encoding="utf-8-sig")
    if file.stem in SHOWN:
        return held(text.splitlines())
    lines = [line.strip() for line in text.rstrip().splitlines()]
    numbers = as_numbers(lines)
    return held(lines if numbers is None else numbers)
