"""All formats of files, in the order in which they are tried: a new one is a file and a line here.

A format's module is imported when it is used: tables need pyarrow, which takes a while to load.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from bvalign.predictions.evaluations.eval_logs import is_inspect, is_lm_eval
from bvalign.predictions.scores.names import Names
from bvalign.predictions.scores.scores import Scores

COMPRESSED = (".gz", ".bz2", ".zst")
READ = ".npz, .npy, .safetensors, .pt, .csv, .tsv, .csv.gz, .parquet, .jsonl, .json, .eval, .zarr"


class Reader(NamedTuple):
    """One way to keep predictions."""

    name: str
    recognises: Callable[[Path], bool]  # by its name, or a look at the beginning
    open: Callable[[Path, Names], Scores]


def _ends(*endings: str, compressed: bool = False) -> Callable[[Path], bool]:
    def recognises(path: Path) -> bool:
        plain = path.with_suffix("") if path.suffix.lower() in COMPRESSED and compressed else path
        return plain.suffix.lower() in endings and not path.is_dir()

    return recognises


def _is_parquet(path: Path) -> bool:
    """Tells a .parquet, or a folder whose parts are one table, by its names."""
    if path.is_dir():
        one_table = path.suffix.lower() == ".parquet" and any(path.glob("*.parquet"))
        return one_table or any(path.glob("*=*/**/*.parquet"))
    return path.suffix.lower() in (".parquet", ".pq")


def _is_zarr(path: Path) -> bool:
    """Tells the folder of a Zarr group, or of an array that should be in one."""
    metadata = ("zarr.json", ".zgroup", ".zarray")
    return path.is_dir() and (
        path.suffix.lower() == ".zarr" or any((path / name).is_file() for name in metadata)
    )


def _opener(where: str) -> Callable[[Path, Names], Scores]:
    def opens(path: Path, names: Names) -> Scores:
        module, _, function = f"bvalign.predictions.{where}".rpartition(".")
        return getattr(import_module(module), function)(path, names)

    return opens


FILES = (
    Reader("zarr", _is_zarr, _opener("scores.zarr_group.open_zarr")),
    Reader("csv", _ends(".csv", ".tsv", compressed=True), _opener("tables.csv.open_csv")),
    Reader("parquet", _is_parquet, _opener("tables.parquet.open_parquet")),
    Reader("lm_eval", is_lm_eval, _opener("evaluations.lm_eval.open_lm_eval")),
    Reader("inspect", is_inspect, _opener("evaluations.inspect_log.open_inspect")),
    Reader(
        "jsonl", _ends(".jsonl", ".ndjson", compressed=True), _opener("tables.jsonl.open_jsonl")
    ),
    Reader("npz", _ends(".npz"), _opener("scores.npz.open_npz")),
    Reader("npy", _ends(".npy"), _opener("scores.npy.open_npy_scores")),
    Reader("safetensors", _ends(".safetensors"), _opener("scores.safetensors.open_safetensors")),
    Reader("torch", _ends(".pt", ".pth"), _opener("readers.torch_file.open_torch")),
    Reader("json", _ends(".json"), _opener("readers.json_file.open_json")),
)


def find_reader(path: Path) -> Reader | None:
    """Finds the reader of a file or of a partitioned table."""
    return next((reader for reader in FILES if reader.recognises(path)), None)
