"""Which files and folders are logs of evaluations: of lm-evaluation-harness, or of Inspect."""

import gzip
import re
import zlib
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path

LEVELS = ("*", "*/*", "*/*/*")
"""Where logs may lie: in the folder itself, in one for each model, or for each seed and model."""

OTHERS = (".npz", ".npy", ".safetensors", ".pt", ".pth", ".csv", ".tsv", ".parquet")
"""Files of predictions; a folder that holds one is no folder of logs."""

HEAD, LONGEST_LINE = 2**20, 2**26
"""Characters that hold the first doc, with its prompts."""

LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
INSPECT = re.compile(r'\s*\{\s*"version"\s*:\s*\d+,\s*"status"\s*:\s*"\w+",\s*"eval"\s*:\s*\{')


def is_lm_eval(path: Path) -> bool:
    """Tells docs of lm-evaluation-harness by their beginning, a folder by its files."""
    if path.is_dir():
        return bool(find_logs(path, is_lm_eval))
    json = path.name.startswith("samples_") and path.suffix.lower() == ".json"
    beginning = read_beginning(path) if json or path.name.lower().endswith(LINES) else ""
    return beginning[:1] in ("{", "[") and '"doc_id"' in beginning and 'resps"' in beginning


def is_inspect(path: Path) -> bool:
    """Tells a log of Inspect by its ending or its beginning, a folder by its logs."""
    if path.is_dir():
        return bool(find_logs(path, is_inspect))
    ending = path.suffix.lower()
    return ending == ".eval" or (
        ending == ".json" and INSPECT.match(read_beginning(path)) is not None
    )


def find_logs(folder: Path, is_log: Callable[[Path], bool]) -> list[Path]:
    """Finds the logs in a folder and those below it, sorted; none beside other predictions."""
    if any(file.suffix.lower() in OTHERS for file in folder.iterdir()):
        return []
    found = [file for level in LEVELS for file in folder.glob(level)]
    hidden = (".", "_")
    return sorted(f for f in found if f.is_file() and not f.name.startswith(hidden) and is_log(f))


def open_text(path: Path) -> TextIOWrapper:
    """Opens a text that may be compressed with gzip."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    return opener(path, "rt", encoding="utf-8-sig")


def read_beginning(path: Path) -> str:
    """Reads the beginning of a text without the space before it; nothing if that is no text."""
    if not path.is_file():  # a pipe would wait for who writes
        return ""
    try:
        with open_text(path) as file:
            beginning = file.read(HEAD)
            rest = "" if "\n" in beginning else file.readline(LONGEST_LINE)
            return (beginning + rest).lstrip()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error):
        return ""
