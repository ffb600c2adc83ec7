"""Predictions of a folder: a file or a subfolder for each member, in any format, read in blocks.

    labels.npy, .txt       class ids (samples), optional
    index.npy              rows of the data set (samples), optional
    weights.npy            how often each member counts (members, in order of name), optional
    clusters.npy           the cluster of each sample, integers or strings (samples), optional
    images.npy             uint8 (samples, channels, height, width), optional, for the report
    texts.npy, .txt        strings (samples), optional; class_names (classes)
    seed0.npy              scores (samples, classes), or integer votes (samples), of member seed0
    seed0.labels.npy       what member seed0 was evaluated on, optional; compared between members
    seed0.index.npy        the same for its index
    seed1.csv              any other format, with what belongs to the member
    3/logits.npy           the same in a folder for each run

Instead of members, a folder may hold `logits.npy`, `probs.npy` or `votes.npy` of all of them. Ids
are numbers if all names are.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bvalign.predictions.checks.strings import file_name
from bvalign.predictions.readers.formats import READ, find_reader, refuse_pointer
from bvalign.predictions.readers.ranks import join_ranks
from bvalign.predictions.scores.arrays import scores_of_arrays
from bvalign.predictions.scores.held import Array, held
from bvalign.predictions.scores.mapped import open_npy
from bvalign.predictions.scores.names import KINDS, LABEL, Names, find_name, shorten
from bvalign.predictions.scores.scores import SHOWN, Scores
from bvalign.predictions.scores.stack import stack_members

SHARED = (*LABEL, "index", "weights", "clusters", "num_options", *SHOWN)
"""Names of files that belong to all members."""

OWN = (".labels", ".index")
"""Ends of names of files that belong to one member, as in seed0.labels.npy."""

ARRAYS, TABLES = ("npz", "npy", "safetensors", "torch"), ("csv", "parquet", "jsonl")
"""Formats of members. Where there are arrays, a table beside them is no member."""

OF_REPORT = {"summary.json", "samples.csv"}
"""Files of a report that have the ending of predictions."""


def open_folder(folder: Path, names: Names) -> Scores:
    """Opens the scores of a folder.

    Raises:
        ValueError: it holds no predictions, a file is damaged, or the members differ in shape.
    """
    files = sorted(file for file in folder.iterdir() if not file.name.startswith((".", "_")))
    shared = {
        file.stem: _open_shared(file)
        for file in files
        if file.stem in SHARED and file.suffix in (".npy", ".txt")
    }
    named = {file.stem: open_npy(file) for file in files if _is_named_array(file)}
    if named:
        return scores_of_arrays(folder, named | shared, names)
    rest = [file for file in files if file.stem not in SHARED and not file.stem.endswith(OWN)]
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
    of_all = names.label in shared
    one = replace(names, one_member=True, label=None if of_all else names.label)
    parts = {file_name(file.stem): _open_member(file, one) for file in members}
    given = names.label if of_all else None
    label = find_name(folder, "label", LABEL, [n for n in shared if n in LABEL], given)
    arrays = {name: array.load() for name, array in shared.items() if name not in LABEL}
    notes = []
    if label:
        arrays["labels"] = shared[label].load()
        notes += [f"labels are read from '{label}'"] if label != "labels" else []
    unused = [file.name for file in rest if file not in members]
    notes += [f"not used: {shorten(unused)}"] if unused else []
    return join_ranks(folder, parts) or stack_members(folder, parts, arrays, tuple(notes))


def _members(files: Sequence[Path]) -> list[Path]:
    """Chooses the files or folders of members, sorted by number if all names are numbers."""
    reader = {file: find_reader(file) for file in files}
    for group in (ARRAYS, TABLES, ("json",)):
        found = [file for file in files if reader[file] and reader[file].name in group]
        if found:
            break
    else:
        found = [file for file in files if file.is_dir() and _predictions_in(file)]
    numbers = all(file.stem.isdecimal() for file in found)
    return sorted(found, key=lambda file: int(file.stem) if numbers else file.name)


def _open_member(file: Path, names: Names) -> Scores:
    """Opens a file, or the one that a folder holds."""
    if file.is_dir() and not find_reader(file):
        inside = _predictions_in(file)
        if len(inside) > 1:
            return open_folder(file, names)
        file = inside[0]
        if _is_named_array(file):
            return open_folder(file.parent, names)
    refuse_pointer(file)
    return find_reader(file).open(file, names)


def _predictions_in(folder: Path) -> list[Path]:
    """Files of a run's folder that are its predictions, the likely ones if there are several."""
    files = [f for f in sorted(folder.iterdir()) if find_reader(f) and f.stem not in SHARED]
    likely = [f for f in files if f.stem.lower() in KINDS or "pred" in f.stem.lower()]
    return likely or files


def _is_named_array(file: Path) -> bool:
    return file.suffix == ".npy" and file.stem.lower() in KINDS


def _open_shared(file: Path) -> Array:
    """Opens an array, or the lines of a text: numbers if all are."""
    if file.suffix == ".npy":
        return open_npy(file)
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    whole = all(line.strip().lstrip("-").isdecimal() for line in lines)
    return held([int(line) for line in lines] if whole else lines)
