"""The files that predictions at a path are read from, to tell whether they have changed."""

from collections.abc import Iterator
from pathlib import Path

from bvalign.predictions.readers.formats import COMPRESSED

ENDINGS = (".npz", ".npy", ".safetensors", ".pt", ".pth", ".csv", ".tsv", ".parquet", ".pq")
ENDINGS += (".jsonl", ".ndjson", ".json", ".eval", ".txt")
"""Of files that readers may open inside a folder."""

OF_REPORT = {"summary.json", "samples.csv", "samples.parquet"}
OF_REPORT |= {"abstain.json", "calibrate.json", "groups.json"}
"""Files of a report with such an ending: a report may be written beside predictions."""

OF_RUN = ("samples*.npz", "members/*/logits.safetensors", "members/*/train.safetensors")
OF_RUN += ("members/*/logits/*", "members/*/train/*")

OF_ZARR = {"zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"}
"""Metadata of groups and arrays; chunks are too many to list."""

DEEPEST = 8
"""Folders inside each other, more than any reader looks into; ends links in a circle."""


def source_files(source: Path | str) -> list[Path]:
    """Lists the files that a path of predictions is read from, sorted.

    Args:
        source: a file (with labels and index of its own beside it), a run directory, a folder, or a
            Zarr group, of which the metadata count; of the URL of an object store there are none.
    """
    if "://" in str(source):
        return []
    source = Path(source)
    if source.is_file():
        own = [source.with_name(f"{source.stem}.{key}.npy") for key in ("labels", "index")]
        return sorted([source, *(file for file in own if file.is_file())])
    if (source / "run.json").is_file():
        found = [file for pattern in OF_RUN for file in source.glob(pattern)]
        return sorted(file for file in found if not file.name.startswith("."))
    return sorted(_of_folder(source, DEEPEST))


def _of_folder(folder: Path, deepest: int) -> Iterator[Path]:
    inside = list(folder.iterdir())
    if OF_ZARR & {file.name for file in inside}:
        yield from (f for name in OF_ZARR for at in ("", "*/") for f in folder.glob(at + name))
        return
    for file in inside:
        if file.name.startswith((".", "_")) or file.name in OF_REPORT:
            continue
        if file.is_file() and _plain(file).suffix.lower() in ENDINGS:
            yield file
        elif file.is_dir() and file.name != "pieces" and deepest:
            yield from _of_folder(file, deepest - 1)


def _plain(file: Path) -> Path:
    return file.with_suffix("") if file.suffix.lower() in COMPRESSED else file
