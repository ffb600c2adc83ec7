"""All formats of files, in the order in which they are tried: a new one is a line here."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bvalign.predictions.readers.csv import is_csv, open_csv
from bvalign.predictions.readers.eval_logs import is_inspect, is_lm_eval
from bvalign.predictions.readers.inspect_log import open_inspect
from bvalign.predictions.readers.json_file import open_json
from bvalign.predictions.readers.jsonl import is_jsonl, open_jsonl
from bvalign.predictions.readers.lm_eval import open_lm_eval
from bvalign.predictions.readers.names import Names
from bvalign.predictions.readers.npy import open_npy_scores
from bvalign.predictions.readers.npz import open_npz
from bvalign.predictions.readers.parquet import is_parquet, open_parquet
from bvalign.predictions.readers.safetensors import open_safetensors
from bvalign.predictions.readers.scores import Scores
from bvalign.predictions.readers.torch_file import open_torch

LFS = b"version https://git-lfs"


class Reader(NamedTuple):
    """One way to keep predictions."""

    name: str
    recognises: Callable[[Path], bool]  # by name alone, or a look at the beginning
    open: Callable[[Path, Names], Scores]


def _ends(*endings: str) -> Callable[[Path], bool]:
    return lambda path: path.suffix.lower() in endings


FILES = (
    Reader("csv", is_csv, open_csv),
    Reader("parquet", is_parquet, open_parquet),
    Reader("lm_eval", is_lm_eval, open_lm_eval),
    Reader("inspect", is_inspect, open_inspect),
    Reader("jsonl", is_jsonl, open_jsonl),
    Reader("npz", _ends(".npz"), open_npz),
    Reader("npy", _ends(".npy"), open_npy_scores),
    Reader("safetensors", _ends(".safetensors"), open_safetensors),
    Reader("torch", _ends(".pt", ".pth"), open_torch),
    Reader("json", _ends(".json"), open_json),
)
READ = ".npz, .npy, .safetensors, .pt, .csv, .tsv, .csv.gz, .parquet, .jsonl, .json, .eval"


def find_reader(path: Path) -> Reader | None:
    """Finds the reader of a file or of a partitioned table."""
    return next((reader for reader in FILES if reader.recognises(path)), None)


def refuse_pointer(path: Path) -> None:
    """Raises if a file is the pointer that Git LFS leaves in place of the content."""
    with path.open("rb") as file:
        if file.read(len(LFS)) == LFS:
            raise ValueError(f"{path}: a Git LFS pointer, not the file; run git lfs pull")
