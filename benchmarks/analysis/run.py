"""Time and memory of `bvalign analyze`, start and report included, against an earlier commit.

    python benchmarks/analysis/run.py                    # all shapes, this checkout alone
    python benchmarks/analysis/run.py --against COMMIT   # both, in turns, in one run

Each command is a process of its own that imports torch first. `memory` is the most that it held
(VmHWM) above what it held after that import, `seconds` is the whole command. Predictions are made
anew in TMPDIR (2.5 GB for all shapes): Gaussian noise of each member around a mean of the
sample. What a checkout cannot do in four times the goal, or in 12 GiB, is written down as such and
not tried again.

Writes results.json and results.md beside this file.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.progress import Progress

from bvalign.provenance import provenance

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
SHAPES = {
    "(100, 10,000, 10)": ((100, 10_000, 10), 6.0, 250),
    "(20, 20,000, 500)": ((20, 20_000, 500), 30.0, 0.7 * 1024),
    "(20, 1,000,000, 10)": ((20, 1_000_000, 10), 120.0, 1024),
}
"""Name -> members, samples and classes; goals in seconds and in MiB above torch."""

CHILD = """
import resource, sys, time
start = time.time()
resource.setrlimit(resource.RLIMIT_DATA, (12 * 2**30,) * 2)
import torch
def most():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
before = most()
sys.argv = ["bvalign", "analyze", *sys.argv[1:]]
from bvalign.cli import main
main()
print("measured", time.time() - start, most() - before, before, file=sys.stderr)
"""


def make(path: Path, shape: tuple[int, int, int]) -> None:
    """Writes predictions, member by member."""
    members, samples, classes = shape
    rng = np.random.default_rng(0)
    labels, margin = rng.integers(classes, size=samples), rng.uniform(1, 10, samples)
    mean = rng.standard_normal((samples, classes), dtype=np.float32)
    mean[np.arange(samples), labels] += margin.astype(np.float32)
    logits = np.lib.format.open_memmap(path.with_suffix(".npy"), "w+", np.float32, shape)
    for member in range(members):
        logits[member] = mean + 0.7 * rng.standard_normal((samples, classes), dtype=np.float32)
    np.savez(path, logits=logits, labels=labels)
    path.with_suffix(".npy").unlink()


def measure(checkout: Path, predictions: Path, limit: float) -> dict[str, float | str]:
    """Runs one command for at most so many seconds; seconds, memory and that of torch in MiB."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", CHILD, str(predictions), "--out", out]
        # elsewhere, as Python looks for bvalign in the working directory first
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        try:
            done = subprocess.run(
                command,
                cwd=out,
                env=environment,
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"over {limit:.0f} s"}
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    if done.returncode or not last.startswith("measured"):
        return {"failed": f"exit code {done.returncode}: {last[-200:]}"}
    seconds, memory, torch_alone = map(float, last.split()[1:])
    return {"seconds": seconds, "memory": memory, "torch": torch_alone}


def checkouts(against: str | None, folder: Path) -> dict[str, Path]:
    """This checkout and, if a commit is given, a worktree of it."""
    found = {"now": ROOT}
    if against:
        git = ["git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach"]
        subprocess.run([*git, str(folder / "before"), against], check=True)
        found["before"] = folder / "before"
    return found


def table(results: dict[str, object]) -> str:
    """The results as Markdown."""
    made = results["made_with"]
    lines = [
        "# Speed of analyze",
        "",
        f"Made by `python benchmarks/analysis/run.py` on {made['device']}, {made['threads']} "
        f"threads, torch {made['versions']['torch']}, {results['rounds']} rounds (median).",
        "",
        "| (members, samples, classes) | checkout | seconds | goal | MiB above torch | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (_, seconds, memory) in SHAPES.items():
        for checkout, runs in results["runs"].get(name, {}).items():
            row = [f"| {name} | {checkout} "]
            kept = [run for run in runs if "failed" not in run]
            if not kept:
                why = runs[0]["failed"].partition(":")[0]
                lines.append(f"| {name} | {checkout} | failed ({why}) | | | |")
                continue
            for key, goal in (("seconds", seconds), ("memory", memory)):
                value = statistics.median(run[key] for run in kept)
                judged = f"{'reached' if value <= goal else 'missed'}: <= {goal:g}"
                row.append(f"| {value:.1f} | {judged if checkout == 'now' else ''} ")
            lines.append("".join(row) + "|")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures all shapes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", help="an earlier commit, measured in turns with this checkout")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    runs: dict[str, dict[str, list]] = {}
    with tempfile.TemporaryDirectory() as folder, Progress() as bar:
        sides = checkouts(arguments.against, Path(folder))
        task = bar.add_task("measure", total=len(arguments.shapes) * arguments.rounds * len(sides))
        try:
            for name in arguments.shapes:
                predictions = Path(folder, "predictions.npz")
                make(predictions, SHAPES[name][0])
                of_shape = runs[name] = {side: [] for side in sides}
                for _ in range(arguments.rounds):
                    for side, checkout in sides.items():
                        if not any("failed" in run for run in of_shape[side]):
                            measured = measure(checkout, predictions, 4 * SHAPES[name][1])
                            of_shape[side].append(measured)
                        bar.advance(task)
        finally:
            subprocess.run(["git", "-C", str(ROOT), "worktree", "prune"], check=False)
    results = {
        "made_with": provenance() | {"against": arguments.against},
        "rounds": arguments.rounds,
        "runs": runs,
    }
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.out / "results.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
