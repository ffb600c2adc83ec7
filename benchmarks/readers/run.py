"""Reading predictions of 100 members, 10,000 samples and 10 classes, against a plain read.

    python benchmarks/readers/run.py             # all formats
    python benchmarks/readers/run.py --rounds 1  # quickly
    python benchmarks/readers/run.py --only zarr # the other rows stay as they are

`plain` reads the file with the library that everybody uses and does nothing with the values;
`bvalign` opens it, checks it, finds the row of each member and sample and reads all logits once, in
ranges, as the analysis does. Both in turns, each in a process that has imported what it needs; the
fastest of the rounds counts. `memory` is the most that bvalign held above what it held before.
Files are made anew in TMPDIR (1 GB). `shards` are two files of each member and a manifest, whose
checksums bvalign checks; chunks of `zarr` are of 500 samples, compressed as zarr does by default.

Writes results.json and results.md beside this file.
"""

import argparse
import hashlib
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import zarr
from pyarrow import csv, parquet
from rich.progress import Progress
from safetensors.numpy import save

from bvalign.atomic import write_atomic
from bvalign.provenance import provenance

HERE = Path(__file__).parent
SHAPE = (100, 10_000, 10)
GOAL = 1.5
PLAIN = {
    "csv": "from pyarrow import csv\ndef read(path):\n for batch in csv.open_csv(path): pass",
    "csv.gz": "from pyarrow import csv\ndef read(path):\n for batch in csv.open_csv(path): pass",
    "parquet": (
        "from pyarrow import parquet\n"
        "def read(path):\n for batch in parquet.ParquetFile(path).iter_batches(): pass"
    ),
    "jsonl": (
        "import json\ndef read(path):\n with open(path) as file:\n"
        "  for line in file: json.loads(line)"
    ),
    "pt": "import torch\ndef read(path): torch.load(path, weights_only=True)",
    "npz": "import numpy as np\ndef read(path):\n with np.load(path) as file: dict(file)",
    "shards": (
        "from safetensors.numpy import load_file\n"
        "def read(path):\n for file in sorted(path.glob('*.safetensors')): load_file(file)"
    ),
    "zarr": "import zarr\ndef read(path):\n zarr.open_group(path, mode='r')['logits'][:]",
}
"""Format -> a plain read."""

OURS = """
from bvalign import open_predictions
def read(path):
    for logits, labels in open_predictions(path)[0].ranges(): pass
"""
CHILD = """
import sys, time, numpy, torch, zarr, pathlib, pyarrow.csv, pyarrow.parquet, bvalign.predictions
import bvalign.predictions.tables.csv, bvalign.predictions.tables.jsonl
def held(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))
exec(sys.argv[1])
pyarrow.array([1])  # imports pandas, where that is installed
before, start = held("VmRSS"), time.perf_counter()
read(pathlib.Path(sys.argv[2]))
print(time.perf_counter() - start, held("VmHWM") - before)
"""


def make(folder: Path) -> dict[str, Path]:
    """Writes the same predictions in every format."""
    members, samples, classes = SHAPE
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=samples)
    logits = rng.standard_normal(SHAPE, dtype=np.float32)
    logits[:, np.arange(samples), labels] += 3
    table = pa.table(
        {
            "member": np.repeat(np.arange(members), samples),
            "sample": np.tile(np.arange(samples), members),
            "label": np.tile(labels, members),
        }
        | {f"logit{k}": logits[..., k].ravel() for k in range(classes)}
    )
    paths = {name: folder / f"predictions.{name}" for name in PLAIN}
    csv.write_csv(table, paths["csv"])
    with pa.CompressedOutputStream(paths["csv.gz"], "gzip") as stream:
        csv.write_csv(table, stream)
    parquet.write_table(table, paths["parquet"])
    with paths["jsonl"].open("w") as file:
        for member in range(members):
            for sample in range(samples):
                row = {"member": member, "sample": sample, "label": int(labels[sample])}
                file.write(json.dumps(row | {"logits": logits[member, sample].tolist()}) + "\n")
    saved = {"logits": torch.from_numpy(logits), "labels": torch.from_numpy(labels)}
    torch.save(saved, paths["pt"])
    np.savez(paths["npz"], logits=logits, labels=labels)
    write_shards(paths["shards"], logits, labels)
    group = zarr.open_group(paths["zarr"], mode="w")
    group.create_array("logits", data=logits, chunks=(members, min(500, samples), classes))
    group.create_array("labels", data=labels)
    return paths


def write_shards(folder: Path, logits: np.ndarray, labels: np.ndarray) -> None:
    """Writes two files of each member (members, samples, classes), and their manifest."""
    folder.mkdir()
    (members, samples), files = logits.shape[:2], []
    for member in range(members):
        for start, stop in ((0, samples // 2), (samples // 2, samples)):
            content = save({"logits": logits[member, start:stop]})
            entry = {"file": f"{member}-{start}.safetensors", "members": [member]}
            (folder / entry["file"]).write_bytes(content)
            checksum = hashlib.sha256(content).hexdigest()
            files.append(entry | {"range": [start, stop], "sha256": checksum})
    np.save(folder / "labels.npy", labels)
    manifest = {"schema": 1, "members": [*range(members)], "samples": samples, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def measure(code: str, path: Path) -> tuple[float, float]:
    """Runs one read in a process of its own; seconds and MiB."""
    command = [sys.executable, "-c", CHILD, code, str(path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, memory = map(float, said.split())
    return seconds, memory


def compare(paths: dict[str, Path], rounds: int, done: Callable[[str], None]) -> list[dict]:
    """Reads every file in turns."""
    rows = []
    for name, path in paths.items():
        found = {"plain": [], "bvalign": []}
        for _ in range(rounds):
            for who, code in (("plain", PLAIN[name]), ("bvalign", OURS)):
                found[who].append(measure(code, path))
                done(f"{name} {who}")
        seconds = {who: min(s for s, _ in values) for who, values in found.items()}
        rows.append(
            {
                "format": name,
                "mib": round(size(path) / 2**20, 1),
                "plain_seconds": round(seconds["plain"], 3),
                "bvalign_seconds": round(seconds["bvalign"], 3),
                "ratio": round(seconds["bvalign"] / seconds["plain"], 2),
                "memory_mib": round(max(m for _, m in found["bvalign"]), 1),
            }
        )
    return rows


def size(path: Path) -> int:
    """Bytes of a file, or of all in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def markdown(rows: list[dict], origin: dict) -> str:
    """The table as it is shown."""
    lines = [
        f"# Reading {SHAPE}",
        "",
        f"Made by `python benchmarks/readers/run.py` on {origin['device']}, "
        f"{origin['threads']} threads. ns/byte are those of bvalign for a byte of logits.",
        "",
        f"| format | MiB | plain read, s | bvalign, s | ns/byte | ratio (goal {GOAL}) | "
        "memory, MiB | | commit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        reached = "reached" if row["ratio"] <= GOAL else "missed"
        lines.append(
            f"| {row['format']} | {row['mib']} | {row['plain_seconds']} | "
            f"{row['bvalign_seconds']} | {row['bvalign_seconds'] / 4e-9 / math.prod(SHAPE):.2f} | "
            f"{row['ratio']} | {row['memory_mib']} | {reached} | {row['commit']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=PLAIN, nargs="+", default=[*PLAIN])
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Progress() as bar:
        task = bar.add_task("make the files", total=2 * len(arguments.only) * arguments.rounds)
        paths = {n: path for n, path in make(Path(folder)).items() if n in arguments.only}
        rows = compare(
            paths,
            arguments.rounds,
            lambda what: bar.update(task, advance=1, description=what),
        )
    origin, stored = provenance(), arguments.out / "results.json"
    measured = {row["format"]: row | {"commit": origin["commit"]} for row in rows}
    before = json.loads(stored.read_text())["rows"] if stored.exists() else []
    found = {row["format"]: row for row in before} | measured
    rows = [found[name] for name in PLAIN if name in found]
    results = {"schema": 1, "origin": origin, "shape": SHAPE, "rows": rows}
    write_atomic(arguments.out / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    write_atomic(arguments.out / "results.md", markdown(rows, results["origin"]).encode())
    print(markdown(rows, results["origin"]))


if __name__ == "__main__":
    main()
