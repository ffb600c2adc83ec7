"""Reading predictions of 100 members, 10,000 samples and 10 classes, against a plain read.

    python benchmarks/readers/run.py             # all formats
    python benchmarks/readers/run.py --rounds 1  # quickly

`plain` reads the file with the library that everybody uses and does nothing with the values;
`bvalign` opens it, checks it, finds the row of each member and sample and reads all logits once, in
ranges, as the analysis does. Both in turns, each in a process that has imported what it needs; the
fastest of the rounds counts. `memory` is the most that bvalign held above what it held before.
Files are made anew in TMPDIR (1 GB).

Writes results.json and results.md beside this file.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pyarrow import csv, parquet
from rich.progress import Progress

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
}
"""Format -> a plain read."""

OURS = """
from bvalign import open_predictions
def read(path):
    for logits, labels in open_predictions(path)[0].ranges(): pass
"""
CHILD = """
import sys, time, numpy, torch, pyarrow.csv, pyarrow.parquet, bvalign.predictions
import bvalign.predictions.tables.csv, bvalign.predictions.tables.jsonl
def held(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))
exec(sys.argv[1])
pyarrow.array([1])  # imports pandas, where that is installed
before, start = held("VmRSS"), time.perf_counter()
read(sys.argv[2])
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
    return paths


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
                "mib": round(path.stat().st_size / 2**20, 1),
                "plain_seconds": round(seconds["plain"], 3),
                "bvalign_seconds": round(seconds["bvalign"], 3),
                "ratio": round(seconds["bvalign"] / seconds["plain"], 2),
                "memory_mib": round(max(m for _, m in found["bvalign"]), 1),
            }
        )
    return rows


def markdown(rows: list[dict], origin: dict) -> str:
    """The table as it is shown."""
    lines = [
        f"# Reading {SHAPE}",
        "",
        f"Made by `python benchmarks/readers/run.py` on {origin['device']}, "
        f"{origin['threads']} threads, commit {origin['commit']}.",
        "",
        f"| format | MiB | plain read, s | bvalign, s | ratio (goal {GOAL}) | memory, MiB | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        reached = "reached" if row["ratio"] <= GOAL else "missed"
        lines.append(
            f"| {row['format']} | {row['mib']} | {row['plain_seconds']} | "
            f"{row['bvalign_seconds']} | {row['ratio']} | {row['memory_mib']} | {reached} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Progress() as bar:
        task = bar.add_task("make the files", total=2 * len(PLAIN) * arguments.rounds)
        paths = make(Path(folder))
        rows = compare(
            paths,
            arguments.rounds,
            lambda what: bar.update(task, advance=1, description=what),
        )
    results = {"schema": 1, "origin": provenance(), "shape": SHAPE, "rows": rows}
    write_atomic(arguments.out / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    write_atomic(arguments.out / "results.md", markdown(rows, results["origin"]).encode())
    print(markdown(rows, results["origin"]))


if __name__ == "__main__":
    main()
